"""Memory budget of unfinished requests, shared by all clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

FREE_BYTES = 64 * 1024
"""Bytes of each request that are not counted. uvicorn buffers as much before anything is read, and a text to
speak is shorter: large uploads cannot crowd out requests for speech."""

LIMIT_BYTES = 32 * 2**20
"""Limit on the counted bytes of all requests together: two of the largest bodies. Fragmentation may cost as
much again, which Python's allocator does not return to the system."""

KEYLESS_BYTES = LIMIT_BYTES // 4
"""Limit on the counted bytes of all clients of ports without keys. They have a budget of their own, so that
they cannot use up that of clients with a key."""

UNAUTHENTICATED = "unauthenticated"
"""Entry of a WebSocket's ``scope["state"]`` while its client has yet to send its key: it has no share of the
budget."""


class UploadBudgetFull(Exception):
    """No room for more of a request; ``str()`` is the sentence for its client."""

    def __init__(self) -> None:
        super().__init__("too much is being sent to this server at once: try again later")


class UploadBudget:
    """Bounds the bytes of unfinished HTTP bodies and WebSocket messages by ``limit``.

    A single request may exceed it, up to the limit of its own kind: the largest message that is allowed can
    always be received.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self.used = 0
        """Bytes that all requests hold now, beyond the free ones of each."""

    @contextmanager
    def share(self) -> Iterator[UploadShare]:
        """Yield the share of one request, which is returned at the end of the ``with`` block."""
        share = UploadShare(self)
        try:
            yield share
        finally:
            share.resize(0)

    def fits(self, size: int, instead_of: int) -> bool:
        """Return True if one request may hold ``size`` bytes instead of ``instead_of``."""
        others = self.used - instead_of
        return size <= instead_of or not others or others + size <= self._limit


class UploadShare:
    """Share of one request in an ``UploadBudget``: ``size`` bytes beyond the free ones."""

    __slots__ = ("_budget", "size")

    def __init__(self, budget: UploadBudget) -> None:
        self._budget = budget
        self.size = 0

    def resize(self, unfinished: int) -> None:
        """Hold ``unfinished`` bytes, the free ones included. Raises UploadBudgetFull."""
        size = max(0, unfinished - FREE_BYTES)
        if not self._budget.fits(size, self.size):
            raise UploadBudgetFull
        self._budget.used += size - self.size
        self.size = size
