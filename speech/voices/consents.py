"""Stores recordings of speakers' spoken consent, which voices are made with later."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from speech.audio.pcm import decode_recording
from speech.errors import InvalidRequest, UnknownVoice
from speech.text import languages
from speech.voices import store_disk

MAX_CONSENTS = 1000
MAX_NAME = 200
"""Characters of a label."""

MIN_RECORDING_S = 1.0

_ID = re.compile(r"cons_[0-9a-f]{24}")
_RECORDING, _METADATA = "recording", "consent.json"


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent; ``created_at``: seconds since 1970."""

    id: str
    name: str
    language: str
    created_at: int


class ConsentStore:
    """Stored consents, each in a folder of its own below ``folder / "voice_consents"``.

    A consent is stored completely or not at all. All methods block on files: call them in a thread. Changes
    raise OSError where the disk is full, broken, or locked by other processes for ten seconds. UnknownVoice
    is raised for an id without a consent.
    """

    def __init__(self, folder: Path) -> None:
        self._files = store_disk.AtomicFolder(folder / "voice_consents")

    def add(self, name: str, language: str, recording: bytes) -> Consent:
        """Store a recording (an audio file of 1-60 s, at most 10 MiB).

        name: a label; language: a tag or a name. Raises InvalidRequest for ``name`` or ``recording``, and
        UnsupportedLanguage.
        """
        _check_name(name)
        tag = languages.resolve(language)
        try:
            decoded = decode_recording(recording)
            if decoded.duration_s < MIN_RECORDING_S:
                raise InvalidRequest("reference", f"too short (at least {MIN_RECORDING_S:g} s)")
        except InvalidRequest as error:
            raise InvalidRequest("recording", error.reason) from error
        consent = Consent(f"cons_{secrets.token_hex(12)}", name, tag, int(time.time()))
        with self._files.locked():
            if sum(1 for _ in self._folders()) >= MAX_CONSENTS:
                raise InvalidRequest(
                    "name", f"no more than {MAX_CONSENTS} consents can be stored: delete one first"
                )
            temporary = self._files.temporary_path()
            store_disk.make_folder(temporary, {_RECORDING: recording, _METADATA: _encoded(consent)})
            store_disk.move(temporary, self._files.path / consent.id)
        return consent

    def list(self) -> list[Consent]:
        """List all consents, the newest first."""
        consents = [self.get(folder.name) for folder in self._folders()]
        return sorted(consents, key=lambda consent: (-consent.created_at, consent.id))

    def get(self, consent_id: str) -> Consent:
        """Find a consent."""
        return Consent(**json.loads(self._read(consent_id, _METADATA)))

    def recording(self, consent_id: str) -> bytes:
        """Read a consent's recording."""
        return self._read(consent_id, _RECORDING)

    def rename(self, consent_id: str, name: str) -> Consent:
        """Change a consent's label. Raises InvalidRequest for ``name``."""
        _check_name(name)
        with self._files.locked():
            consent = replace(self.get(consent_id), name=name)
            self._files.replace(self._files.path / consent_id / _METADATA, _encoded(consent))
        return consent

    def delete(self, consent_id: str) -> None:
        """Delete a consent. Voices that were made with it keep a copy of its recording."""
        self.get(consent_id)
        with self._files.locked():
            temporary = self._files.temporary_path()
            try:
                store_disk.move(self._files.path / consent_id, temporary)
            except FileNotFoundError as error:
                raise UnknownVoice(consent_id) from error
            store_disk.remove(temporary)

    def _folders(self) -> Iterator[Path]:
        path = self._files.path
        entries = path.iterdir() if path.is_dir() else ()
        return (entry for entry in entries if _ID.fullmatch(entry.name))

    def _read(self, consent_id: str, file: str) -> bytes:
        if not _ID.fullmatch(consent_id):
            raise UnknownVoice(consent_id)
        try:
            return (self._files.path / consent_id / file).read_bytes()
        except FileNotFoundError as error:
            raise UnknownVoice(consent_id) from error


def _check_name(name: str) -> None:
    if not name.strip():
        raise InvalidRequest("name", "is needed")
    if len(name) > MAX_NAME:
        raise InvalidRequest("name", f"too long (at most {MAX_NAME} characters)")


def _encoded(consent: Consent) -> bytes:
    return json.dumps(asdict(consent)).encode()
