"""Atomic changes of a folder: a file or subfolder appears completely or not at all.

One thread of one process changes the folder at a time. New content is written under a temporary name that
begins with a dot, synced to disk, and moved to its place. A process that is killed or meets a full disk
leaves only a temporary name, which the next change or the next start removes.
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
"""The file that a writer locks; it is never deleted."""

LOCK_TIMEOUT_S = 10.0
"""Longest wait for other writers, in seconds."""

_POLL_S = 0.01

# Names from ``temporary_path``, and the temporary names of earlier versions.
_TEMPORARY = re.compile(r"\.([0-9a-f]{16}|[0-9a-z_]{8})")


class AtomicFolder:
    """The folder at ``path``, created by the first change, readable by its owner only.

    All methods block, and raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread_lock = threading.Lock()

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Lock the folder against other writers, and remove leftovers before and afterwards.

        wait: wait up to ``LOCK_TIMEOUT_S`` for other writers. Raises TimeoutError if it is still locked.
        """
        wait_s = LOCK_TIMEOUT_S if wait else 0.0
        _make_folder(self.path, 0o700)
        if not self._thread_lock.acquire(timeout=wait_s):
            raise _locked_by_others(wait_s)
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
                # Releases the lock, as the end of the process does.
                os.close(descriptor)
        finally:
            self._thread_lock.release()

    def temporary_path(self) -> Path:
        return self.path / f".{secrets.token_hex(8)}"

    def replace(self, path: Path, content: bytes) -> None:
        """Write a file below the folder atomically, replacing what is there."""
        temporary = self.temporary_path()
        write_file(temporary, content)
        move(temporary, path)

    def remove_leftovers(self) -> None:
        """Remove what interrupted writers left, unless the folder is locked: that writer removes it."""
        try:
            if not self._leftovers():
                return
            with self.locked(wait=False):
                pass
        except (FileNotFoundError, NotADirectoryError, TimeoutError):
            return
        except OSError as error:
            log.warning("leftovers of interrupted writers could not be removed: %s", error)

    def _leftovers(self) -> list[Path]:
        return [path for path in self.path.iterdir() if _TEMPORARY.fullmatch(path.name)]

    def _sweep(self) -> None:
        # A failure must neither block the writer nor undo a change: the next change tries again.
        for path in self._leftovers():
            try:
                remove(path)
            except OSError as error:
                log.warning("a leftover of an interrupted writer could not be removed: %s", error)


def make_folder(path: Path, files: dict[str, bytes]) -> None:
    """Create a folder with these files and sync all but its own name to disk."""
    path.mkdir(0o700)
    for name, content in files.items():
        write_file(path / name, content)
    sync_folder(path)


def write_file(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move(source: Path, target: Path) -> None:
    """Move a file or a folder atomically and sync the move to disk."""
    source.replace(target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            remove(entry)
        path.rmdir()
    else:
        path.unlink()


def sync_folder(folder: Path) -> None:
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
        # Another process was faster. If it is no folder, the next call fails.
        return
    sync_folder(path.parent)


def _lock(descriptor: int, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not _try_lock(descriptor):
        # No system call waits in a thread, with a timeout, for another process's lock.
        if time.monotonic() >= deadline:
            raise _locked_by_others(wait_s)
        time.sleep(_POLL_S)


def _try_lock(descriptor: int) -> bool:
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


def _locked_by_others(wait_s: float) -> TimeoutError:
    return TimeoutError(f"the stored voices were locked by other writers for {wait_s:g} s")
