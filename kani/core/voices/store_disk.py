"""Atomic changes of a folder: a file or subfolder appears completely or not at all.

One thread of one process changes the folder at a time. New content is written under a temporary name that
begins with a dot, synced to disk, and moved to its place. A process that is killed or meets a full disk
leaves only a temporary name, which the next change or the next start removes.
"""

import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

LOCK_FILE = "lock"
"""The file that a writer locks; it is never deleted."""

LOCK_TIMEOUT_S = 10.0
"""Longest wait for other writers, in seconds."""

_POLL_S = 0.01

# Names from ``_temporary_path``, and the temporary names of earlier versions.
_TEMPORARY = re.compile(r"\.([0-9a-f]{16}|[0-9a-z_]{8})")


class AtomicFolder:
    """The folder at ``path``, created by the first change, readable by its owner only.

    All methods block, and raise OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[None]:
        """Lock the folder against other writers, and remove leftovers before and afterwards.

        wait: wait up to ``LOCK_TIMEOUT_S`` for other writers. Raises TimeoutError if it is still locked.
        """
        # Imported here: a server that changes no voice does not need it.
        from filelock import FileLock, Timeout

        wait_s = LOCK_TIMEOUT_S if wait else 0.0
        _make_folder(self.path, 0o700)
        # A lock of its own for each writer: threads, too, wait for each other.
        lock = FileLock(
            self.path / LOCK_FILE,
            wait_s,
            0o600,
            poll_interval=_POLL_S,
            fallback_to_soft=False,
            preserve_lock_file=True,
        )
        try:
            held = lock.acquire()
        except Timeout:
            raise TimeoutError(f"the stored voices were locked by other writers for {wait_s:g} s") from None
        with held:
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def add(self, path: Path, files: Mapping[str, bytes]) -> None:
        """Make a folder below this one, with these files."""
        temporary = self._temporary_path()
        temporary.mkdir(0o700)
        for name, content in files.items():
            _write_file(temporary / name, content)
        _sync_folder(temporary)
        self.move(temporary, path)

    def remove(self, path: Path) -> None:
        """Remove a folder below this one. Raises FileNotFoundError."""
        temporary = self._temporary_path()
        self.move(path, temporary)
        _remove(temporary)

    def move(self, source: Path, target: Path) -> None:
        """Move a file or a folder atomically and sync the move to disk."""
        source.replace(target)
        _sync_folder(target.parent)

    def _temporary_path(self) -> Path:
        return self.path / f".{secrets.token_hex(8)}"

    def replace(self, path: Path, content: bytes) -> None:
        """Write a file below the folder atomically, replacing what is there."""
        temporary = self._temporary_path()
        _write_file(temporary, content)
        self.move(temporary, path)

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
                _remove(path)
            except OSError as error:
                log.warning("a leftover of an interrupted writer could not be removed: %s", error)


def _write_file(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            _remove(entry)
        path.rmdir()
    else:
        path.unlink()


def _sync_folder(folder: Path) -> None:
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
    _sync_folder(path.parent)
