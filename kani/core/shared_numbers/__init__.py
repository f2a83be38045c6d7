"""Numbers that the serving processes of one server share (``--fronts``).

Each process has a row of its own in memory that all of them map, and writes no other: a sum needs no lock. A
process that serves alone has no such memory, and its numbers are only its own.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

COLUMNS = 1 << 16
_ROW_BYTES = 8 * COLUMNS
SETS, WAYS = 4096, 4
_BUCKET = struct.Struct("=qdd")  # digest of the client, tokens, time


@dataclass
class Memory:
    """The memory of the processes of one server, and the row of this one."""

    file: int  # lockable; its pages are mapped by all
    numbers: memoryview  # of doubles, a row for each process
    rows: int
    folder: Path  # of their sockets and files, closed to other users
    row: int = 0
    names: dict[int, str] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)


memory: Memory | None = None
"""None in a process that serves alone."""


def share(rows: int, folder: Path) -> None:
    """Share numbers with the processes that are forked from now on; rows: how many there may be."""
    global memory
    assert sys.platform == "linux"
    file = os.memfd_create("kani-fronts")
    os.ftruncate(file, rows * _ROW_BYTES + SETS * WAYS * _BUCKET.size)
    memory = Memory(file, memoryview(mmap.mmap(file, 0)), rows, folder)


def leave() -> None:
    """Share none any more: this process serves no clients, or serves them alone."""
    global memory
    memory = None


def number_of(row: int, name: str) -> float:
    """Return a number of another process; 0 where it has none of this name."""
    return _read(row, _column(name)) if memory is not None else 0.0


def processes() -> list[int]:
    """Return the ids of the processes that share numbers."""
    rows = range(memory.rows) if memory is not None else ()
    return [int(pid) for row in rows if (pid := number_of(row, "process"))]


def take(row: int) -> None:
    """Take a row, in a process that has just been forked."""
    assert memory is not None
    memory.row, memory.names = row, {}
    Number("process").own = os.getpid()


def clear(row: int, kept: int) -> None:
    """Forget the numbers of a process that has ended; its counts are added to those of the row ``kept``."""
    assert memory is not None
    start, half = row * _ROW_BYTES, _ROW_BYTES // 2
    ended = memory.numbers[start + half : start + 2 * half].cast("d")
    counts = memory.numbers[kept * _ROW_BYTES + half : (kept + 1) * _ROW_BYTES].cast("d")
    for column, count in enumerate(ended):
        if count:
            counts[column] += count
    memory.numbers[start : start + 2 * half] = bytes(2 * half)


def _column(name: str, *, counts: bool = False) -> int:
    return zlib.crc32(name.encode()) % (COLUMNS // 2) + (COLUMNS // 2 if counts else 0)


def _read(row: int, column: int) -> float:
    assert memory is not None
    found: float = struct.unpack_from("d", memory.numbers, row * _ROW_BYTES + 8 * column)[0]
    return found


class Number:
    """A number of this process, and the other processes' numbers of the same name."""

    __slots__ = ("_column", "_own", "_shared")

    def __init__(self, name: str, *, counts: bool = False) -> None:
        """name: of one object that is written in a process; counts: it only grows, and outlives the process.

        RuntimeError for a name that has the place of another one.
        """
        self._own = 0.0
        self._shared = memory
        self._column = _column(name, counts=counts)
        if memory is not None and (known := memory.names.setdefault(self._column, name)) != name:
            raise RuntimeError(f"{name!r} and {known!r} would be one shared number: rename one of them")

    @property
    def own(self) -> float:
        return self._own

    @own.setter
    def own(self, value: float) -> None:
        self._own = value
        if (shared := self._shared) is not None:
            struct.pack_into("d", shared.numbers, shared.row * _ROW_BYTES + 8 * self._column, value)

    @property
    def others(self) -> list[float]:
        """Numbers of the other processes, those without one included as 0; empty where there are none."""
        if (shared := self._shared) is None:
            return []
        return [_read(row, self._column) for row in range(shared.rows) if row != shared.row]

    @property
    def total(self) -> float:
        return self._own + sum(self.others)


class SharedBuckets:
    """Token buckets of clients, as ``Recent`` keeps them; use them while they are locked (``with``)."""

    def __init__(self, shared: Memory) -> None:
        self._memory, self._file = shared.numbers[shared.rows * _ROW_BYTES :], shared.file

    def __enter__(self) -> None:
        os.lockf(self._file, os.F_LOCK, 0)

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        os.lockf(self._file, os.F_ULOCK, 0)

    def get(self, client: str, default: tuple[float, float]) -> tuple[float, float]:
        digest, places = _places(client)
        found = (_BUCKET.unpack_from(self._memory, place) for place in places)
        return next(((tokens, then) for known, tokens, then in found if known == digest), default)

    def keep(self, client: str, bucket: tuple[float, float]) -> None:
        """Keep the bucket of a client, in place of the one that was used the longest time ago."""
        digest, places = _places(client)

        def age(place: int) -> tuple[bool, float]:
            known, _, then = _BUCKET.unpack_from(self._memory, place)
            return known != digest, then

        _BUCKET.pack_into(self._memory, min(places, key=age), digest, *bucket)


def _places(client: str) -> tuple[int, range]:
    """Return the digest of a client, and the offsets of the buckets that may be its own."""
    digest = int.from_bytes(hashlib.blake2b(client.encode(), digest_size=7).digest()) + 1
    start = digest % SETS * WAYS * _BUCKET.size
    return digest, range(start, start + WAYS * _BUCKET.size, _BUCKET.size)
