"""Memory that the serving processes of one server share (``--fronts``): numbers, and a database.

Each process writes a row of its own in memory that all map: a sum needs no lock. Where one
process serves all clients, it has only its own numbers.
"""

import mmap
import os
import sqlite3
import struct
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

_COLUMNS = 1 << 12
_ROW_BYTES = 8 * _COLUMNS

STUCK_S = 2.5
"""Seconds after which a process that has not said that it lives counts for nothing but its sums."""


class Shared(NamedTuple):
    memory: mmap.mmap  # doubles, a row for each process
    rows: int
    folder: Path  # closed to other users
    row: int
    columns: dict[str, int]  # by the names of numbers, as far as they are known here
    since: float  # time on the clock ``time.monotonic``
    late: bool = False  # True if others served clients when this process was forked


shared: Shared | None = None
"""None where one process serves all clients."""


def share(rows: int, row: int, folder: Path) -> None:
    """Share with the processes that are forked from now on; rows: how many there are; row: this one's."""
    global shared
    shared = Shared(mmap.mmap(-1, rows * _ROW_BYTES), rows, folder, row, {}, time.monotonic())
    take(row)


def take(row: int, *, late: bool = False) -> None:
    """Take a row, in a process that has just been forked."""
    global shared
    assert shared is not None
    shared = shared._replace(row=row, late=late)
    Number("process").own = os.getpid()


def clear(row: int) -> None:
    """Forget the numbers of a process that has ended."""
    assert shared is not None
    shared.memory[row * _ROW_BYTES : (row + 1) * _ROW_BYTES] = bytes(_ROW_BYTES)


def database() -> sqlite3.Connection:
    """Open the database of all processes; in memory, where there is only one."""
    place = ":memory:" if shared is None else shared.folder / "shared.sqlite"
    # Used by one event loop, which may run in another thread than the one that has made it.
    opened = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    # It lasts as long as the server: only a process must not break it.
    opened.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
    return opened


def _column(name: str, of: Shared) -> int:
    """Return the place of a number, which is the same in all processes."""
    if name not in of.columns:
        with closing(database()) as opened:
            opened.execute("CREATE TABLE IF NOT EXISTS columns (name TEXT UNIQUE)")
            opened.execute("INSERT OR IGNORE INTO columns VALUES (?)", (name,))
            of.columns.update(opened.execute("SELECT name, rowid FROM columns WHERE rowid < ?", (_COLUMNS,)))
    return of.columns[name]


class Number:
    """A number of this process, and those of the other processes by the same name."""

    __slots__ = ("_at", "_shared", "_value")

    def __init__(self, name: str) -> None:
        """name: of one object that is written in a process."""
        self._value, self._shared = 0.0, shared
        self._at = 8 * _column(name, shared) if shared is not None else 0

    @property
    def own(self) -> float:
        return self._value

    @own.setter
    def own(self, value: float) -> None:
        self._value = value
        if (there := self._shared) is not None:
            struct.pack_into("d", there.memory, there.row * _ROW_BYTES + self._at, value)

    @property
    def others(self) -> list[float]:
        """Numbers of the other processes, 0 of those without one."""
        if (there := self._shared) is None:
            return []
        return [self.of(row) for row in range(there.rows) if row != there.row]

    @property
    def total(self) -> float:
        return self._value + sum(self.others)

    def of(self, row: int) -> float:
        """Return the number of a process. It has to share some."""
        assert self._shared is not None
        number: float = struct.unpack_from("d", self._shared.memory, row * _ROW_BYTES + self._at)[0]
        return number


class LiveNumbers:
    """A number, with those of the other processes that live."""

    def __init__(self, name: str) -> None:
        self._number, self._said = Number(name), Number(f"{name} at")

    def say(self, value: float) -> None:
        """Set this process' number, again and again."""
        self._number.own, self._said.own = value, time.monotonic()

    @property
    def others(self) -> list[float]:
        since = time.monotonic() - STUCK_S
        rows = zip(self._number.others, self._said.others, strict=True)
        return [number for number, said in rows if said > since]
