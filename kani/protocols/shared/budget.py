"""Memory or disk that all requests to a protocol share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kani.core.errors import Busy


@dataclass(eq=False)
class Budget:
    """Bytes, reserved piece by piece. Not thread-safe: use it only on the event loop."""

    left: int
    spent: str  # sentence for clients when it is
    alternative: str = ""  # what a client can do then, or with an answer that is too large

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Open a reservation, at first of no bytes; all of it is given back at the end of the context."""
        reservation = Reservation(self)
        try:
            yield reservation
        finally:
            self.left += reservation.size


@dataclass(eq=False)
class Reservation:
    """The bytes of a budget that one request holds: ``size`` so far."""

    budget: Budget
    size: int = 0

    def grow(self, size: int) -> None:
        """Reserve ``size`` bytes more. Raises Busy if the budget has fewer left."""
        if size > self.budget.left:
            instead = f"{self.budget.alternative}, or " if self.budget.alternative else ""
            raise Busy(f"{self.budget.spent}: {instead}try again later")
        self.budget.left -= size
        self.size += size
