"""Stored consents in a folder, which several processes and machines may share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from kani.core.errors import UnknownVoice
from kani.core.voices.storage.backend import too_many_consents
from kani.core.voices.store_disk import AtomicFolder
from kani.core.voices.store_files import CONSENT_ID, Consent

_RECORDING, _METADATA = "recording", "consent.json"


class FolderConsents:
    """See ``ConsentBackend``. Each consent has a folder of its own below ``folder / "voice_consents"``.

    Changes raise OSError where the disk is full, broken, or locked by other processes for ten seconds.
    """

    def __init__(self, folder: Path) -> None:
        self._files = AtomicFolder(folder / "voice_consents")

    def add(self, consent: Consent, recording: bytes, limit: int) -> None:
        with self._files.locked():
            if sum(1 for _ in self._folders()) >= limit:
                raise too_many_consents(limit)
            files = {_RECORDING: recording, _METADATA: _encoded(consent)}
            self._files.add(self._files.path / consent.id, files)

    def list(self) -> list[Consent]:
        return [self.get(folder.name) for folder in self._folders()]

    def get(self, consent_id: str) -> Consent:
        return Consent(**json.loads(self._read(consent_id, _METADATA)))

    def recording(self, consent_id: str) -> bytes:
        return self._read(consent_id, _RECORDING)

    def rename(self, consent_id: str, name: str) -> Consent:
        with self._files.locked():
            consent = replace(self.get(consent_id), name=name)
            self._files.replace(self._files.path / consent_id / _METADATA, _encoded(consent))
        return consent

    def delete(self, consent_id: str) -> None:
        self.get(consent_id)
        with self._files.locked():
            try:
                self._files.remove(self._files.path / consent_id)
            except FileNotFoundError as error:
                raise UnknownVoice(consent_id) from error

    def _folders(self) -> Iterator[Path]:
        path = self._files.path
        entries = path.iterdir() if path.is_dir() else ()
        return (entry for entry in entries if CONSENT_ID.fullmatch(entry.name))

    def _read(self, consent_id: str, file: str) -> bytes:
        if not CONSENT_ID.fullmatch(consent_id):
            raise UnknownVoice(consent_id)
        try:
            return (self._files.path / consent_id / file).read_bytes()
        except FileNotFoundError as error:
            raise UnknownVoice(consent_id) from error


def _encoded(consent: Consent) -> bytes:
    return json.dumps(asdict(consent)).encode()
