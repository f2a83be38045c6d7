"""Opens a file that a client names below a folder, whatever others put in its way meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from kani.text.foreign.files import open_regular, rewrite_regular


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
        return rewrite_regular(parts[-1], below=where) if write else open_regular(parts[-1], below=where)
    finally:
        os.close(where)


def _open_resolved(root: Path, parts: Sequence[str], write: bool) -> BinaryIO:
    """Open the file on systems without ``dir_fd`` (Windows)."""
    path = root.resolve(strict=True).joinpath(*parts)
    try:
        straight = path.resolve(strict=not write) == path
    except RuntimeError as error:  # a loop of links
        raise FileNotFoundError from error
    if not straight:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return rewrite_regular(path) if write else open_regular(path)
