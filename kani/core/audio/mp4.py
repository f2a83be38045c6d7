"""Opens MP4 and QuickTime recordings, so that a small file cannot take much memory.

FFmpeg makes an index of each track from what the file's head claims: 36 bytes for each sample, and a track of
some hundred bytes may claim any number of them. ``ffmpeg.limit_allocations`` bounds the index of one track.
So FFmpeg is shown one track, the first with audio: the others read as free space (ISO/IEC 14496-12, 8.1.2).
If it finds a second one all the same, the file is refused. ``OpenIndex`` bounds the indexes of all recordings
that are open.
"""

import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

import av
from av.container import InputContainer

from kani.core.audio import ffmpeg
from kani.core.errors import Busy

ENTRY_BYTES = 36
"""Bytes of FFmpeg's index for each sample of a file: an ``AVIndexEntry`` and its share of the times."""

MAX_OPEN_BYTES = 512 << 20
"""Bytes of the indexes of all open recordings; beyond it a large one is read only while no other is open."""

SMALL_BYTES = 1 << 20
"""Bytes of an index that is not large: ten minutes of AAC have as much."""


class UnreadableFile(ValueError):
    """The recording is not read; the message says why, for its client."""


def count_entries(container: InputContainer, file_bytes: int) -> int:
    """Return the samples in the index of a file of ``file_bytes``.

    Raises UnreadableFile where there are more than the file has bytes: each sample has one at least.
    """
    entries = sum(len(stream.index_entries) for stream in container.streams)
    if entries > file_bytes:
        raise UnreadableFile("is damaged: its head claims more samples than it has bytes")
    return entries


class OpenIndex:
    """The index of one open recording, counted among those of all. Its calls may come from any thread."""

    _lock = threading.Lock()
    _all_bytes = 0  # bytes of all that are open

    def __init__(self, container: InputContainer, file_bytes: int) -> None:
        self._container = container
        self._file_bytes = file_bytes
        self._bytes = 0

    def count(self) -> None:
        """Count the index as it is: it grows while fragments are read.

        Raises UnreadableFile, and Busy where all are too large together.
        """
        self._set(ENTRY_BYTES * count_entries(self._container, self._file_bytes))

    def close(self) -> None:
        """Count nothing any more."""
        self._set(0)

    def _set(self, own_bytes: int) -> None:
        with OpenIndex._lock:
            others = OpenIndex._all_bytes - self._bytes
            grows = own_bytes > max(self._bytes, SMALL_BYTES)
            if grows and others and others + own_bytes > MAX_OPEN_BYTES:
                raise Busy("too many long recordings are being read: try again later")
            OpenIndex._all_bytes, self._bytes = others + own_bytes, own_bytes


_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid"})
_MAX_BOXES = 256
"""Boxes that are looked at within another one: a film has a dozen, a forged file may have millions."""

_OTHER_FORMAT = "send it in parts, or as FLAC, MP3 or Ogg"

_OPENING = threading.Lock()


def is_mp4(file: IO[bytes]) -> bool:
    """Return True if a seekable file begins as MP4 and QuickTime files do; it stands at its start then."""
    file.seek(0)
    head = file.read(8)
    file.seek(0)
    return head[4:] in _FIRST_BOXES


def open_mp4(file: IO[bytes]) -> InputContainer:
    """Open a seekable file; only its first track with audio is seen.

    Raises FFmpegError and UnreadableFile. Blocks.
    """
    if not ffmpeg.limit_allocations():
        raise UnreadableFile(f"is an MP4, which this server cannot read safely: {_OTHER_FORMAT}")
    # One at a time: an index that is refused is freed before the next one is made.
    with _OPENING:
        return _open(file)


def _open(file: IO[bytes]) -> InputContainer:
    limit = ffmpeg.MAX_ALLOCATION_BYTES >> 20
    too_large = f"has an MP4 index that takes more than {limit} MiB: {_OTHER_FORMAT}"
    try:
        container = av.open(
            _OneTrack(file), "r", "mp4", metadata_errors="ignore", container_options={"max_streams": "1"}
        )
    except av.error.MemoryError as error:
        raise UnreadableFile(too_large) from error
    try:
        # FFmpeg goes on without an index that got no memory.
        if any(stream.frames and not len(stream.index_entries) for stream in container.streams):
            raise UnreadableFile(too_large)
        count_entries(container, container.size)
    except UnreadableFile:
        container.close()
        raise
    return container


class _OneTrack:
    """Reads a file as it is, but for the types of the boxes that hold further tracks."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hidden = _further_tracks(file)
        self.seek, self.tell = file.seek, file.tell
        self.seek(0)

    def read(self, size: int = -1) -> bytes:
        start = self._file.tell()
        data = self._file.read(size)
        end = start + len(data)
        if not any(start - 4 < position < end for position in self._hidden):
            return data
        shown = bytearray(data)
        for position in self._hidden:
            for at, letter in enumerate(b"free", position):
                if start <= at < end:
                    shown[at - start] = letter
        return bytes(shown)


@dataclass(frozen=True, slots=True)
class _Box:
    """A box: its type, where that stands in the file, and its content's first byte and end."""

    kind: bytes
    position: int
    start: int
    end: int


def _boxes(file: IO[bytes], start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two positions, ``_MAX_BOXES`` at most."""
    for _ in range(_MAX_BOXES):
        file.seek(start)
        head = file.read(16)
        if end - start < 8 or len(head) < 8:
            return
        size, content = int.from_bytes(head[:4], "big"), start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:], "big"), start + 16
        elif size == 0:
            size = end - start
        after = start + size
        if after < content:
            return
        yield _Box(head[4:8], start + 4, content, min(after, end))
        start = after


def _has_audio(file: IO[bytes], track: _Box) -> bool:
    """Return True if the handler of a track is that of sound."""
    for media in _boxes(file, track.start, track.end):
        if media.kind == b"mdia":
            for box in _boxes(file, media.start, media.end):
                if box.kind == b"hdlr":
                    file.seek(box.start + 8)
                    return file.read(4) == b"soun"
    return False


def _further_tracks(file: IO[bytes]) -> Sequence[int]:
    """Return where the types of the tracks stand, but for the first with audio, or the first of all."""
    top = _boxes(file, 0, file.seek(0, io.SEEK_END))
    moov = next((box for box in top if box.kind == b"moov"), None)
    if moov is None:
        return ()
    tracks = [box for box in _boxes(file, moov.start, moov.end) if box.kind == b"trak"]
    shown = next((track for track in tracks if _has_audio(file, track)), next(iter(tracks), None))
    return [track.position for track in tracks if track is not shown]
