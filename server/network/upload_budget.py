"""Memory budget of unfinished requests, shared by all clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

FREE_BYTES = 64 * 1024
"""Of each request. uvicorn holds as much before anything is read, and a text to be spoken is shorter, so that
clients that upload much cannot keep out those that only speak."""

LIMIT_BYTES = 32 * 2**20
"""Of all requests together, beyond what each has free: two of the largest bodies. As much again may be lost
to holes between what is held, which Python's allocator does not give back to the machine."""


class UploadBudgetFull(Exception):
    """There is no room for more of a request; ``str()`` is what its client reads."""

    def __init__(self) -> None:
        super().__init__("too much is being sent to this server at once: try again later")


class UploadBudget:
    """Holds up to ``limit`` bytes of bodies and WebSocket messages whose end has not come yet.

    A request that is alone may be longer, up to its own limit: whatever the limits are, the largest
    message that is allowed can be received.
    """

    def __init__(self, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self.used = 0
        """Bytes that all requests hold now, beyond what each has free."""

    @contextmanager
    def share(self) -> Iterator[UploadShare]:
        """A share for one request, given back however the body of the ``with`` ends."""
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

    __slots__ = ("_intake", "size")

    def __init__(self, intake: UploadBudget) -> None:
        self._intake = intake
        self.size = 0

    def resize(self, unfinished: int) -> None:
        """Hold ``unfinished`` bytes from now on, which include the free ones. Raises IntakeFull."""
        size = max(0, unfinished - FREE_BYTES)
        if not self._intake.fits(size, self.size):
            raise UploadBudgetFull
        self._intake.used += size - self.size
        self.size = size
