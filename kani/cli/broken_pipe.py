"""Ends a program without a traceback where the reader of its output has gone: ``kani-tts voices | head``."""

import contextlib
import os
import select
import sys
from collections.abc import Iterator

READER_GONE = 141
"""Exit code of programs that SIGPIPE ends, as a shell shows it."""


@contextlib.contextmanager
def tolerated() -> Iterator[None]:
    """Run a program in the body, and write out what it has printed.

    Ends it by SystemExit(141) if nothing reads its standard output any more; a BrokenPipeError of a socket or
    of another file is raised as usual.
    """
    try:
        try:
            yield
        finally:
            # A program that is started without a standard output has None.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        if not reader_has_gone():
            raise
        # The interpreter writes out the rest once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(READER_GONE) from None


def reader_has_gone() -> bool:
    """Return True if nothing reads standard output; False where the system cannot tell, as on Windows."""
    if sys.stdout is None or not hasattr(select, "poll"):
        return False
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)
    return bool(poller.poll(0))
