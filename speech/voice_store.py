"""The voices that clients made: recordings with the consent of who speaks in them, kept on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from speech import languages
from speech.audio import MAX_RECORDING_BYTES, MAX_RECORDING_S, decode_recording
from speech.errors import InvalidRequest, UnknownVoice

log = logging.getLogger(__name__)

PREFIX = "custom:"
MAX_VOICES = 1000
MIN_RECORDING_S = 3.0
MAX_NAME = 64
MAX_WORDS = 2000
"""Characters of a consent or a description at most."""

_RECORDING, _FACTS = "recording", "voice.json"
# What an interrupted writer left behind is nobody's once it is this old.
_LEFT_BEHIND_S = 600.0


@dataclass(frozen=True, slots=True)
class KeptVoice:
    """A kept voice, without its recording.

    language: BCP 47 tag, or None if none was given; consent: in the words of who gave it;
    consent_at: when it came, UTC, ISO 8601; origin: the protocol it came by; sha256, size (bytes),
    duration_s and sample_rate (hertz) are the recording's.
    """

    name: str
    language: str | None
    description: str
    consent: str
    consent_at: str
    origin: str
    sha256: str
    size: int
    duration_s: float
    sample_rate: int

    @property
    def id(self) -> str:
        """What a request calls it: ``custom:NAME``."""
        return PREFIX + self.name


class VoiceStore:
    """Kept voices, each a folder of its own below ``folder / "voices"``.

    A voice's folder is named by a hash of its name, so no name can be a path. A voice is there
    whole or not at all. Everything here blocks on files: call it in a thread. Safe to call from
    any thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "voices"
        self._writing = threading.Lock()

    def add(
        self,
        name: str,
        recording: bytes,
        consent: str,
        *,
        origin: str,
        language: str | None = None,
        description: str = "",
    ) -> KeptVoice:
        """Keep ``recording`` (an audio file of 3–60 s, at most 10 MiB; kept as it came).

        name: 1–64 letters, digits, ``_`` and ``-``; consent: that of the person who speaks, never
        empty; origin: the protocol; language: a tag or a name. Raises InvalidRequest for ``name``,
        ``audio``, ``consent`` or ``description``, and UnsupportedLanguage.
        """
        name = _checked_name(name)
        if not consent.strip():
            raise InvalidRequest("consent", "the speaker's consent is required, in words")
        for field, words in (("consent", consent), ("description", description)):
            _check_words(field, words)
        tag = languages.resolve(language) if language else None
        try:
            decoded = decode_recording(recording, MAX_RECORDING_BYTES, MAX_RECORDING_S)
        except InvalidRequest as error:
            raise InvalidRequest("audio", error.reason) from error
        if decoded.duration_s < MIN_RECORDING_S:
            raise InvalidRequest("audio", f"too short (at least {MIN_RECORDING_S:g} s)")
        voice = KeptVoice(
            name=name,
            language=tag,
            description=description,
            consent=consent,
            consent_at=datetime.now(UTC).isoformat(timespec="seconds"),
            origin=origin,
            sha256=hashlib.sha256(recording).hexdigest(),
            size=len(recording),
            duration_s=round(decoded.duration_s, 3),
            sample_rate=decoded.sample_rate,
        )
        with self._writing:
            self._keep(voice, recording)
        return voice

    def list(self) -> list[KeptVoice]:
        """All kept voices by name; a folder that cannot be read is logged and left out."""
        voices = (self._read(folder) for folder in self._voice_folders())
        return sorted((voice for voice in voices if voice is not None), key=lambda voice: voice.name)

    def get(self, name: str) -> KeptVoice:
        """The voice of that name, with ``custom:`` before it or not. Raises UnknownVoice."""
        folder = self._folder_of(name)
        voice = self._read(folder) if folder.is_dir() else None
        if voice is None:
            raise UnknownVoice(name)
        return voice

    def sample(self, name: str) -> bytes:
        """The recording as it came. Raises UnknownVoice."""
        self.get(name)
        try:
            return (self._folder_of(name) / _RECORDING).read_bytes()
        except FileNotFoundError as error:
            raise UnknownVoice(name) from error

    def delete(self, name: str) -> None:
        """Remove the voice and every copy of its recording. Raises UnknownVoice."""
        folder = self._folder_of(name)
        with self._writing:
            with self._workshop() as workshop:
                try:
                    folder.rename(workshop / folder.name)
                except FileNotFoundError as error:
                    raise UnknownVoice(name) from error
            _sync(self._folder)

    def _keep(self, voice: KeptVoice, recording: bytes) -> None:
        folder = self._folder_of(voice.name)
        if folder.exists():
            raise InvalidRequest("name", f"there is a voice {voice.name!r} already: delete it first")
        if sum(1 for _ in self._voice_folders()) >= MAX_VOICES:
            raise InvalidRequest("name", f"no more than {MAX_VOICES} voices are kept: delete one first")
        with self._workshop() as workshop:
            made = workshop / folder.name
            made.mkdir(mode=0o700)
            _write(made / _RECORDING, recording)
            _write(made / _FACTS, json.dumps(asdict(voice), indent=2).encode())
            _sync(made)
            made.rename(folder)
        _sync(self._folder)

    @contextmanager
    def _workshop(self) -> Iterator[Path]:
        """A folder beside the voices whose content is gone afterwards, whatever happens."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob(".*"):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(left)
        workshop = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
        try:
            yield workshop
        finally:
            shutil.rmtree(workshop)

    def _folder_of(self, name: str) -> Path:
        plain = unicodedata.normalize("NFC", name.removeprefix(PREFIX))
        return self._folder / hashlib.sha256(plain.encode(errors="surrogatepass")).hexdigest()[:32]

    def _voice_folders(self) -> Iterator[Path]:
        if self._folder.is_dir():
            yield from (path for path in self._folder.iterdir() if not path.name.startswith("."))

    def _read(self, folder: Path) -> KeptVoice | None:
        try:
            voice = KeptVoice(**json.loads((folder / _FACTS).read_text(encoding="utf-8")))
            whole = (folder / _RECORDING).stat().st_size == voice.size
        except (OSError, ValueError, TypeError) as error:
            log.warning("kept voice %s left out: %s", folder.name, error)
            return None
        if not whole or self._folder_of(voice.name) != folder:
            log.warning("kept voice %s left out: its files do not belong together", folder.name)
            return None
        return voice


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name)
    if len(name) > MAX_NAME or not re.fullmatch(r"[\w-]+", name):
        raise InvalidRequest("name", f"must be 1-{MAX_NAME} letters, digits, '_' and '-'")
    return name


def _check_words(field: str, words: str) -> None:
    if len(words) > MAX_WORDS:
        raise InvalidRequest(field, f"too long (at most {MAX_WORDS} characters)")
    if any(unicodedata.category(c) in ("Cs", "Cc") and c not in "\n\t\r" for c in words):
        raise InvalidRequest(field, "holds control characters")


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Have the folder's entries on disk before what follows counts as done."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
