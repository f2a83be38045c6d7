"""Request ids, which stand in every log line from the socket to the engine, and the log of texts.

The id is a context variable, which tasks and threads inherit; to another process or machine it is sent with
the segment (``Segment.request_id``).
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TEXT_LOG = logging.getLogger("speech.text")
"""Logs the texts of clients, which are private: nothing unless ``log_texts`` is set, as the operator asks."""

log_texts = False

# An application's own configuration of logging turns disabled loggers on, and leaves filters.
TEXT_LOG.addFilter(lambda _record: log_texts)

_current: ContextVar[str] = ContextVar("request id", default="")


def new() -> str:
    """Return a new id: eight random hexadecimal digits."""
    return secrets.token_hex(4)


def current() -> str:
    """Return the id of the current task's request; empty where there is none."""
    return _current.get()


@contextmanager
def bind(request_id: str) -> Iterator[None]:
    """Set the id for the body, and the tasks that are started in it."""
    before = _current.set(request_id)
    try:
        yield
    finally:
        _current.reset(before)
