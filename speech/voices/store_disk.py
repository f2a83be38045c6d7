"""A folder that is changed safely: whatever is in it is there whole, or not at all.

One at a time changes it, of all threads and processes. What is written is made under a name that begins with
a dot, put on the disk, and then moved to where it is seen. Whoever is killed meanwhile, or meets a full disk,
leaves nothing but such a name behind, which goes with the next change or the next start.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

LOCK_FILE = "lock"
"""The file that whoever changes the folder holds; it stays there."""

LOCK_TIMEOUT_S = 10.0
"""How long one waits for others that change the folder."""

_LOOK_AGAIN_S = 0.01

# What ``unseen`` gives, and the names that earlier versions gave to what they were writing.
_UNSEEN = re.compile(r"\.([0-9a-f]{16}|[0-9a-z_]{8})")


class AtomicFolder:
    """The folder at ``path``, made when it is changed for the first time; only its owner may look into it.

    Everything here blocks, and raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = threading.Lock()

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Keep everybody else from changing the folder; nothing unseen is left in it before and afterwards.

        waiting: whether others are waited for, ``LOCK_TIMEOUT_S`` at most. Raises TimeoutError then.
        """
        wait_s = LOCK_TIMEOUT_S if wait else 0.0
        _make_folder(self.path, 0o700)
        if not self._turn.acquire(timeout=wait_s):
            raise _held_by_others(wait_s)
        try:
            descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor, wait_s)
                self._sweep()
                try:
                    yield
                finally:
                    self._sweep()
            finally:
                # Frees the lock too, as the end of the process does.
                os.close(descriptor)
        finally:
            self._turn.release()

    def temporary_path(self) -> Path:
        """A new name in the folder that nobody sees, to make something under."""
        return self.path / f".{secrets.token_hex(8)}"

    def replace(self, path: Path, content: bytes) -> None:
        """Have a file with that content somewhere below the folder, in place of the one that is there."""
        made = self.temporary_path()
        write_file(made, content)
        move(made, path)

    def remove_leftovers(self) -> None:
        """Remove what interrupted writers left behind, unless somebody holds the folder, who does it then."""
        try:
            if not self._left_behind():
                return
            with self.locked(wait=False):
                pass
        except (FileNotFoundError, NotADirectoryError, TimeoutError):
            return
        except OSError as error:
            log.warning("what interrupted writers left behind could not be removed: %s", error)

    def _left_behind(self) -> list[Path]:
        return [path for path in self.path.iterdir() if _UNSEEN.fullmatch(path.name)]

    def _sweep(self) -> None:
        # It never keeps anybody from writing, nor undoes what is done: the next one tries again.
        for path in self._left_behind():
            try:
                remove(path)
            except OSError as error:
                log.warning("what an interrupted writer left behind could not be removed: %s", error)


def make_folder(path: Path, files: dict[str, bytes]) -> None:
    """A new folder with these files, all of it on the disk but its own name."""
    path.mkdir(0o700)
    for name, content in files.items():
        write_file(path / name, content)
    sync_folder(path)


def write_file(path: Path, content: bytes) -> None:
    """A new file, its content on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Have a file or a folder at ``target`` instead, at once, and on the disk when it returns."""
    source.replace(target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file, or a folder and everything in it."""
    if path.is_dir() and not path.is_symlink():
        for inside in path.iterdir():
            remove(inside)
        path.rmdir()
    else:
        path.unlink()


def sync_folder(folder: Path) -> None:
    """Have the folder's entries on disk before what follows counts as done."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(path: Path, mode: int = 0o777) -> None:
    if path.is_dir():
        return
    _make_folder(path.parent)
    try:
        path.mkdir(mode)
    except FileExistsError:
        # Another process was faster; that it is no folder shows in what follows.
        return
    sync_folder(path.parent)


def _lock(descriptor: int, wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while not _locked(descriptor):
        # No system tells in a thread, and within some time, that a lock of another process is free.
        if time.monotonic() >= until:
            raise _held_by_others(wait_s)
        time.sleep(_LOOK_AGAIN_S)


def _locked(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _held_by_others(wait_s: float) -> TimeoutError:
    return TimeoutError(f"others have changed the kept voices for {wait_s:g} s")
