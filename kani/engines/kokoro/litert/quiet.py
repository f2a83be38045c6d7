"""Leaves out the one line that LiteRT writes to standard error, for which it has no setting."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LINE = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
"""Written once a process, when its first tensors are allocated."""

_STANDARD_ERROR = 2
_FLUSHED_S = 1.0
"""Most seconds of the wait until what was written meanwhile has gone through."""

_lock = threading.Lock()
_written = False


@contextmanager
def without_line() -> Iterator[None]:
    """Filter standard error while the body runs, the first time; what else is written goes through.

    A process that is started meanwhile keeps its way through the filter.
    """
    global _written
    with _lock:
        first, _written = not _written, True
    filtering = _filter() if first else None
    try:
        yield
    finally:
        if filtering is not None:
            before, copier = filtering
            with suppress(OSError):
                os.dup2(before, _STANDARD_ERROR)
            copier.join(_FLUSHED_S)


def _filter() -> tuple[int, threading.Thread] | None:
    """Begin; return the file number of standard error, and the thread that writes to it. None if it fails."""
    try:
        before = os.dup(_STANDARD_ERROR)
    except OSError:  # it is closed
        return None
    try:
        read, write = os.pipe()
    except OSError:
        os.close(before)
        return None
    copier = threading.Thread(target=_copy, args=(read, before), name="stderr", daemon=True)
    copier.start()
    os.dup2(write, _STANDARD_ERROR)
    os.close(write)
    return before, copier


def _copy(read: int, write: int) -> None:
    """Copy everything except the line, until all writers have closed their ends."""
    with os.fdopen(read, "rb") as lines, os.fdopen(write, "wb", buffering=0) as written:
        for line in lines:
            with suppress(OSError):
                written.write(line.replace(LINE, b""))
