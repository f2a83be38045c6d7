"""Leaves out the one line that LiteRT writes to standard error, for which it has no setting."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LINE = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
"""Written once a process, when its first tensors are allocated."""

_STANDARD_ERROR = 2
_lock = threading.Lock()
_written = False


@contextmanager
def without_line() -> Iterator[None]:
    """Hold back standard error while the body runs, the first time; then write what it got but the line."""
    global _written
    with _lock:
        first, _written = not _written, True
    try:
        before = os.dup(_STANDARD_ERROR) if first else -1
    except OSError:  # it is closed
        before = -1
    if before < 0:
        yield
        return
    with tempfile.TemporaryFile(buffering=0) as held:
        os.dup2(held.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
            held.seek(0)
            if rest := held.read().replace(LINE, b""):
                os.write(_STANDARD_ERROR, rest)
