"""Contract of what begins the spans of connections."""

from collections.abc import Iterable
from typing import Protocol

from kani.core.tracing import Span

RawHeaders = Iterable[tuple[bytes, bytes]]
"""Names in lower case, and values, as ASGI has them."""


class Tracer(Protocol):
    """Begins the span of each connection."""

    def connection(self, name: str, headers: RawHeaders = ()) -> Span:
        """Begin a span; ``traceparent`` among the headers makes it part of the client's trace."""
