"""How much memory answers that are sent whole may take, all clients' together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from speech.errors import Busy


class MemoryBudget:
    """``limit`` bytes, of which each holder takes as it needs.

    instead: what a client can do when none are left, for the sentence that refuses it.
    """

    def __init__(self, limit: int, *, alternative: str) -> None:
        self._left = limit
        self._instead = alternative

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """A share of it, given back however one leaves."""
        share = Reservation(self)
        try:
            yield share
        finally:
            self._left += share.size

    def take(self, size: int) -> None:
        """Take so many bytes. Raises Busy where they are not left."""
        if size > self._left:
            raise Busy(f"too much speech waits to be sent whole: {self._instead}, or try again later")
        self._left -= size


class Reservation:
    """What one holder has of a budget: ``size`` bytes."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Take so many bytes more. Raises Busy where they are not left."""
        self._budget.take(size)
        self.size += size
