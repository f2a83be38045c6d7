"""Opens files of folders that others may write: regular ones only, and reads no more than is expected.

To open a pipe waits for its other end, and to read a device may never end.
"""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

_AT_ONCE = sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY"))
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_REWRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _NO_LINK


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading, without waiting. Raises OSError, also for what is no regular file."""
    return os.fdopen(_opened(path, 0), "rb")


def open_below(root: Path, parts: Sequence[str], *, write: bool = False) -> BinaryIO:
    """Open a regular file below ``root``, following no link below it, as others may make one meanwhile.

    write: empty it, or make it where there is none, instead of reading. Raises OSError.
    """
    flags = _REWRITE if write else _NO_LINK
    if os.open not in os.supports_dir_fd:
        file = _opened(_straight(root, parts, write), flags, mode=0o666)
        return os.fdopen(file, "wb" if write else "rb")
    where = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=where)
            os.close(where)
            where = inner
        return os.fdopen(_opened(parts[-1], flags, where, 0o666), "wb" if write else "rb")
    finally:
        os.close(where)


def _straight(root: Path, parts: Sequence[str], write: bool) -> Path:
    """Return a path without a link, on systems without ``dir_fd`` (Windows)."""
    path = root.resolve(strict=True).joinpath(*parts)
    try:
        straight = path.resolve(strict=not write) == path
    except RuntimeError as error:  # a loop of links
        raise FileNotFoundError from error
    if not straight:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path


def read_regular(path: Path, limit: int) -> bytes:
    """Read a file. Raises OSError, also for one of more than ``limit`` bytes or that is no regular file."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        # One of the kernel's has no length, and may be read to an end that never comes.
        content = b"" if size > limit else file.read(min(max(size, 64 << 10), limit) + 1) or b""
    if max(size, len(content)) > limit:
        raise OSError(errno.EFBIG, f"longer than {limit} bytes", str(path))
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read. Raises OSError, as ``open_regular``, and for a link."""
    with os.fdopen(_opened(path, _REWRITE), "wb") as file:
        file.write(content)


def _opened(path: str | Path, flags: int, below: int | None = None, mode: int = 0o600) -> int:
    with suppress(FileNotFoundError):
        # Before it is opened, too: to open a device can have side effects.
        _check(os.stat(path, dir_fd=below, follow_symlinks=not flags & _NO_LINK), path)
    file = os.open(path, flags | _AT_ONCE, mode, dir_fd=below)
    try:
        _check(os.fstat(file), path)
    except OSError:
        os.close(file)
        raise
    return file


def _check(status: os.stat_result, path: str | Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
