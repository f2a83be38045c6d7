"""Keeps the pieces of a book that are spoken already, so that a stop at any moment loses only the last."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Self

import msgspec

from kani.books.plan import Manner
from kani.core.subtitles import Cue
from kani_text.foreign.files import read_regular

MAX_JSON_BYTES, MAX_SOUND_BYTES = 4 << 20, 256 << 20
"""Longest files of a piece: its words' times, and its sound."""

_MANIFEST, _LOCK = "manifest.json", "lock"


class AlreadyRunning(OSError):
    """Another process works on the same output."""


class SpokenPiece(msgspec.Struct, frozen=True):
    """A piece that was spoken. ``samples`` at ``sample_rate`` hertz (0: it has nothing speakable)."""

    samples: int
    sample_rate: int
    voice: str
    sound: str
    """Hexadecimal SHA-256 of the FLAC file."""
    cues: list[Cue]


class _Manifest(msgspec.Struct, frozen=True):
    book: str
    manner: Manner
    pieces: int


class WorkFolder:
    """The folder ``OUTPUT.parts`` beside an output; use it in ``with``, by one process at a time."""

    def __init__(self, output: Path) -> None:
        from filelock import FileLock  # a server loads it with the first audiobook

        self.path = output.with_name(output.name + ".parts")
        self._lock = FileLock(self.path / _LOCK)

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except TimeoutError as error:
            raise AlreadyRunning(f"{self.path} is in use: another kani-tts makes this book") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def begin(self, book: str, manner: Manner, pieces: int) -> list[str]:
        """Note what is made; return what has changed since the folder was last used. book: a digest."""
        now = _Manifest(book, manner, pieces)
        changed = []
        path = self.path / _MANIFEST
        if path.is_file():
            try:
                before = msgspec.json.decode(read_regular(path, MAX_JSON_BYTES), type=_Manifest)
            except (OSError, msgspec.DecodeError):
                changed.append("manifest")
            else:
                changed += ["text"] if before.book != now.book else []
                changed += [
                    name
                    for name in Manner.__dataclass_fields__
                    if getattr(before.manner, name) != getattr(manner, name)
                ]
        self._write(_MANIFEST, msgspec.json.format(msgspec.json.encode(now), indent=1))
        return changed

    def sound(self, key: str) -> Path:
        """Return the path of a piece's FLAC file."""
        return self.path / f"{key}.flac"

    def find(self, key: str) -> SpokenPiece | None:
        """Return a piece; None where it is not there whole."""
        try:
            piece = msgspec.json.decode(
                read_regular(self.path / f"{key}.json", MAX_JSON_BYTES), type=SpokenPiece
            )
            if piece.samples and _sha256(read_regular(self.sound(key), MAX_SOUND_BYTES)) != piece.sound:
                return None
        except (OSError, msgspec.DecodeError):
            return None
        return piece

    def store(
        self, key: str, flac: bytes, samples: int, sample_rate: int, voice: str, cues: list[Cue]
    ) -> None:
        """Keep a piece. It counts once its second file, which has the first one's hash, is whole."""
        if samples:
            self._write(f"{key}.flac", flac)
        piece = SpokenPiece(samples, sample_rate, voice, _sha256(flac), cues)
        self._write(f"{key}.json", msgspec.json.encode(piece))

    def remove(self) -> None:
        """Delete the folder, once the output is there."""
        self._lock.release()
        shutil.rmtree(self.path)

    def _write(self, name: str, data: bytes) -> None:
        unfinished = self.path / f"{name}.unfinished"
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path / name)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
