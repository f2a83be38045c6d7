"""Bounds the indexes of open recordings, which FFmpeg makes of what the files claim, and keeps."""

from __future__ import annotations

import threading

from av.container import InputContainer

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
