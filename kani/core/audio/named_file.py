"""Opens a file that a client names below a folder, whatever others put in its way meanwhile."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO


def open_below(root: Path, parts: Sequence[str], *, write: bool = False) -> BinaryIO:
    """Open a regular file below ``root``, following no link below it.

    write: empty it, or make it where there is none, instead of reading. Raises OSError.
    """
    if os.open not in os.supports_dir_fd:
        return _open_resolved(root, parts, write)
    where = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=where)
            os.close(where)
            where = inner
        # Checked before opening: to open a pipe or a device can have side effects.
        with suppress(FileNotFoundError):
            _check(os.stat(parts[-1], dir_fd=where, follow_symlinks=False))
        how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if write else os.O_RDONLY
        file = os.open(parts[-1], how | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666, dir_fd=where)
    finally:
        os.close(where)
    try:
        _check(os.fstat(file))
    except OSError:
        os.close(file)
        raise
    return os.fdopen(file, "wb" if write else "rb")


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no file, but a folder, a pipe, a device or a link")


def _open_resolved(root: Path, parts: Sequence[str], write: bool) -> BinaryIO:
    """Open the file on systems without ``dir_fd`` (Windows)."""
    path = root.resolve(strict=True).joinpath(*parts)
    try:
        straight = path.resolve(strict=not write) == path
    except RuntimeError as error:  # a loop of links
        raise FileNotFoundError from error
    if not straight or not (path.is_file() or (write and not path.exists())):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return path.open("wb" if write else "rb")
