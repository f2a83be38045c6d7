"""A queue for a limited number of places: the wait that is due first gets the next free one."""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """A wait for a place; the least one is next."""

    due: float
    number: int
    granted: asyncio.Future[None] = field(compare=False)


class DeadlineQueue:
    """Places, and the waits for them by deadline; those that are equally due in order of arrival.

    One event loop. A place is taken by ``acquire``, or by ``take`` or ``enter`` and ``wait``, and given back
    by ``release``.
    """

    def __init__(self, capacity: Callable[[], int]) -> None:
        """capacity: the current number of places; a change takes effect at the next acquire or release."""
        self._capacity = capacity
        self._waits: list[Wait] = []
        """The next one first."""
        self._numbers = count()
        self.taken = 0
        """Places that are held or were granted."""

    @property
    def waiting(self) -> int:
        """Number of waits."""
        return len(self._waits)

    @property
    def has_free_place(self) -> bool:
        """True if a place is neither held nor granted."""
        return self.taken < self._capacity()

    def position(self, wait: Wait) -> int | None:
        """Position of ``wait``, 1 for the next; None if it has ended."""
        return self._waits.index(wait) + 1 if wait in self._waits else None

    async def acquire(self, due: float) -> None:
        """Take a place, in turn; a cancelled wait loses none. due: on any clock, the same for all."""
        if not self.take():
            await self.wait(self.enter(due))

    def take(self, *, always: bool = False) -> bool:
        """Take a place if one is free, ``always`` even beyond the capacity; returns whether it was taken."""
        if self._waits:
            self._grant()
        taken = always or self.has_free_place
        self.taken += taken
        return taken

    def enter(self, due: float) -> Wait:
        """Begin a wait, which is to be awaited at once by ``wait``."""
        wait = Wait(due, next(self._numbers), asyncio.get_running_loop().create_future())
        insort(self._waits, wait)
        return wait

    async def wait(self, wait: Wait) -> None:
        """Return once ``wait`` has its place; a cancelled one loses none."""
        try:
            await wait.granted
        except asyncio.CancelledError:
            if wait in self._waits:
                self._waits.remove(wait)
            else:
                # It was granted in the same turn of the loop.
                self.taken -= 1
            raise
        finally:
            self._grant()

    def release(self) -> None:
        """Give a place back, which the next wait gets."""
        self.taken -= 1
        if self._waits:
            self._grant()

    def _grant(self) -> None:
        """Grant the free places to the next waits."""
        while self._waits and self.has_free_place:
            wait = self._waits.pop(0)
            self.taken += 1
            if not wait.granted.done():
                wait.granted.set_result(None)
