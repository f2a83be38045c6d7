"""The folder of recorded voices: ``…/CATEGORY/NAME.mp3`` with its transcript in ``NAME.txt``.

Nothing outside the folder can be read, or its existence detected: a path is walked part by part, and no
symbolic link is followed on the way. The folder itself may be a link.
"""

import logging
import os
import re
import threading
import time
import unicodedata
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from kani.core.audio.pcm import MAX_RECORDING_BYTES, MEDIA_TYPES
from kani.core.errors import InvalidRequest, UnknownVoice
from kani_text.foreign.files import open_below

log = logging.getLogger(__name__)

PATH_PARAM = "prompt_wav_path"
DEFAULT_CATEGORY = "默认"
"""Category of recordings outside any subfolder, as in VoxCPM's server; Chinese for "default"."""

MAX_VOICES = 10_000
MAX_TRANSCRIPT_LENGTH = 2000
"""Characters of a transcript that are read."""

MAX_PATH_LENGTH = 1000
MAX_DEPTH = 16

_MAX_ENTRIES = 200_000
_CACHE_S = 2.0
_MAX_CACHE_S = 60.0


@dataclass(frozen=True, slots=True)
class FolderVoice:
    id: str  # CATEGORY-NAME, unique
    name: str
    category: str
    sample_text: str  # the transcript, empty without one
    parts: tuple[str, ...]  # path below the folder

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[_extension(self.parts[-1])]


class VoiceFolder:
    """The voices below ``path``; None is a folder without any.

    All methods block on files: call them in a thread. Thread-safe.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._voices: dict[str, FolderVoice] = {}
        self._folders: dict[Path, int] = {}
        self._read_at = self._checked_at = -_MAX_CACHE_S

    def list(self) -> list[FolderVoice]:
        """Return all voices by category and name, at most MAX_VOICES; a new file appears within seconds."""
        found = self._current().values()
        return sorted(found, key=lambda voice: (voice.category, voice.name))

    def get(self, voice_id: str) -> FolderVoice | None:
        return self._current().get(unicodedata.normalize("NFC", voice_id))

    def open(self, voice: FolderVoice) -> BinaryIO:
        """Open a voice's file. Raises UnknownVoice if it is gone."""
        assert self._path is not None
        try:
            return open_below(self._path, voice.parts)
        except OSError as error:
            raise UnknownVoice(voice.id) from error

    def read(self, voice: FolderVoice) -> bytes:
        """Read a voice's file. Raises UnknownVoice if it is gone or larger than 10 MiB."""
        with self.open(voice) as file:
            data = file.read(MAX_RECORDING_BYTES + 1)
        if len(data) > MAX_RECORDING_BYTES:
            log.warning("voice %s is larger than %d bytes", voice.id, MAX_RECORDING_BYTES)
            raise UnknownVoice(voice.id)
        return data

    def recording(self, relative_path: str) -> bytes:
        """Read the file of a path below the folder, its parts separated by ``/``.

        Raises InvalidRequest for ``prompt_wav_path``, with the same sentence for every path that is no
        recording of the folder, whether it exists elsewhere or not.
        """
        if self._path is None:
            raise InvalidRequest(PATH_PARAM, "this server has no voice folder (KANI_VOICE_DIR)")
        parts = tuple(part for part in relative_path.split("/") if part not in ("", "."))
        outside = relative_path.startswith("/") or ".." in parts or re.match("[A-Za-z]:", relative_path)
        if outside or "\\" in relative_path or not relative_path.isprintable():
            raise InvalidRequest(
                PATH_PARAM, "must be a path below the voice folder, such as category/name.wav"
            )
        if len(relative_path) > MAX_PATH_LENGTH or len(parts) > MAX_DEPTH:
            raise InvalidRequest(
                PATH_PARAM, f"too long (at most {MAX_PATH_LENGTH} characters and {MAX_DEPTH} parts)"
            )
        try:
            if not parts or _extension(parts[-1]) not in MEDIA_TYPES:
                raise FileNotFoundError
            with open_below(self._path, parts) as file:
                data = file.read(MAX_RECORDING_BYTES + 1)
        except OSError as error:
            known = ", ".join(f".{ending}" for ending in MEDIA_TYPES)
            raise InvalidRequest(PATH_PARAM, f"names no recording in the voice folder ({known})") from error
        if len(data) > MAX_RECORDING_BYTES:
            raise InvalidRequest(PATH_PARAM, f"too large (at most {MAX_RECORDING_BYTES // 2**20} MiB)")
        return data

    def _current(self) -> dict[str, FolderVoice]:
        if self._path is None:
            return {}
        with self._lock:
            now = time.monotonic()
            if now - self._checked_at > _CACHE_S:
                if now - self._read_at > _MAX_CACHE_S or self._changed():
                    self._voices = self._scan(self._path)
                    self._read_at = now
                self._checked_at = now
            return self._voices

    def _changed(self) -> bool:
        try:
            return any(folder.stat().st_mtime_ns != at for folder, at in self._folders.items())
        except OSError:
            return True

    def _scan(self, root: Path) -> dict[str, FolderVoice]:
        voices: dict[str, FolderVoice] = {}
        self._folders = {}
        waiting: list[tuple[str, ...]] = [()]
        left = _MAX_ENTRIES
        while waiting and left > 0 and len(voices) < MAX_VOICES:
            where = waiting.pop()
            folder = root.joinpath(*where)
            try:
                self._folders[folder] = folder.stat().st_mtime_ns
                with os.scandir(folder) as scan:
                    entries = sorted(islice(scan, left), key=lambda entry: entry.name)
                    # A client cannot send a name that is not printable.
                    files = {
                        e.name for e in entries if e.name.isprintable() and e.is_file(follow_symlinks=False)
                    }
                    inner = [
                        e.name for e in entries if e.name.isprintable() and e.is_dir(follow_symlinks=False)
                    ]
            except OSError as error:
                log.warning("voice folder: %s cannot be read: %s", folder, error.strerror)
                continue
            left -= len(entries)
            if len(where) < MAX_DEPTH - 1:
                waiting += [(*where, name) for name in reversed(inner)]
            for name in sorted(files):
                if _extension(name) in MEDIA_TYPES:
                    voice = _voice(root, (*where, name), files)
                    voices.setdefault(voice.id, voice)
        if waiting or left <= 0:
            log.warning("the voice folder is too large: only %d of its voices are listed", len(voices))
        return dict(islice(voices.items(), MAX_VOICES))


def _voice(root: Path, parts: tuple[str, ...], siblings: set[str]) -> FolderVoice:
    """Return the voice of a file; siblings: the names of the files in its folder."""
    name = Path(parts[-1]).stem
    category = parts[-2] if len(parts) > 1 else DEFAULT_CATEGORY
    text = ""
    if f"{name}.txt" in siblings:
        try:
            with open_below(root, (*parts[:-1], f"{name}.txt")) as file:
                # UTF-8 has at most four bytes a character; some editors write a byte order mark first.
                text = file.read(4 * MAX_TRANSCRIPT_LENGTH + 3).decode("utf-8-sig", "ignore").strip()
        except OSError as error:
            log.warning("voice folder: the transcript of %s cannot be read: %s", name, error.strerror)
    name, category = (unicodedata.normalize("NFC", word) for word in (name, category))
    return FolderVoice(f"{category}-{name}", name, category, text[:MAX_TRANSCRIPT_LENGTH], parts)


def _extension(name: str) -> str:
    return Path(name).suffix.lower().removeprefix(".")
