"""A memory budget that all clients of a protocol share, for answers that are sent in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kani.core.errors import Busy


class MemoryBudget:
    """``limit`` bytes, reserved piece by piece.

    alternative: for the error message, what a client can do when the budget is spent. Not thread-safe: use it
    only on the event loop.
    """

    def __init__(self, limit: int, *, alternative: str) -> None:
        self._left = limit
        self.alternative = alternative

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Open a reservation, at first of no bytes; all of it is given back at the end of the context."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self._left += reservation.size

    def take(self, size: int) -> None:
        """Take ``size`` bytes out of the budget. Raises Busy if fewer are left."""
        if size > self._left:
            raise Busy(f"too much speech waits to be sent whole: {self.alternative}, or try again later")
        self._left -= size


class Reservation:
    """The bytes of a budget that one answer holds: ``size`` so far."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size = 0

    @property
    def alternative(self) -> str:
        """The budget's alternative for clients with an answer that is too large."""
        return self._budget.alternative

    def grow(self, size: int) -> None:
        """Reserve ``size`` bytes more. Raises Busy if the budget has fewer left."""
        self._budget.take(size)
        self.size += size
