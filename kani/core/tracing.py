"""Spans: the timed steps of a request, for a tracing backend.

The core reports its steps to the current span, a context variable that tasks inherit. Nothing records them
unless the server binds a span that does: a step costs a call of an empty method then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType

Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute | None]
"""Values by name; None is left out. Never a text of a client, a key or an address."""


class Span(AbstractContextManager["Span"]):
    """A timed step that nothing records; the base of those that are recorded.

    As a context manager it ends with its block, and an error that leaves the block fails it.
    """

    def child(self, name: str, attributes: Attributes | None = None) -> Span:
        """Begin a step inside this one."""
        return self

    def rename(self, name: str) -> None:
        """Replace the name."""

    def set(self, attributes: Attributes) -> None:
        """Add attributes, instead of those of the same name."""

    def event(self, name: str, attributes: Attributes | None = None) -> None:
        """Add a moment."""

    def fail(self, kind: str) -> None:
        """Mark the step as failed; kind: a short name of the error, without a text of the client."""

    def end(self, error: BaseException | None = None) -> None:
        """End the step, failed by ``error``; a cancellation is no failure. Only the first call counts."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)


UNRECORDED = Span()

_current: ContextVar[Span] = ContextVar("span", default=UNRECORDED)


def current() -> Span:
    """Return the span of the current task's connection; ``UNRECORDED`` where there is none."""
    return _current.get()


@contextmanager
def bind(span: Span) -> Iterator[None]:
    """Set the current span for the body, and the tasks that are started in it."""
    before = _current.set(span)
    try:
        yield
    finally:
        _current.reset(before)
