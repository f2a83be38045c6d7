"""One id for all that is done for a request, from its socket to its engine: it stands in every log line.

It travels by itself into the tasks and threads that are started for the request; into another process or
machine it goes with the segment (``Segment.request_id``).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("request id", default="")


def new() -> str:
    """An id that no other connection of this server has: eight hexadecimal digits."""
    return secrets.token_hex(4)


def current() -> str:
    """The id of what is being done now; empty where it is done for nobody in particular."""
    return _current.get()


@contextmanager
def bind(request_id: str) -> Iterator[None]:
    """What is done inside, and what is started there, is done for ``request_id``."""
    before = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(before)
