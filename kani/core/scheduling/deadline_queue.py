"""A queue for a limited number of places: the wait that is due first gets the next free one."""

from __future__ import annotations

import asyncio
import math
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

_numbers = count()


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """A wait for a place; the least one is next."""

    due: float
    number: int
    granted: asyncio.Future[None] = field(compare=False)


class SharedLimit:
    """Bounds the places of several queues together: the wait that is due first of all goes first."""

    def __init__(self, places: int | None = None) -> None:
        """places: of all queues; None for no bound but their own."""
        self._places = math.inf if places is None else places
        self._queues: list[DeadlineQueue] = []

    def add(self, queue: DeadlineQueue) -> None:
        """Bound ``queue`` too."""
        self._queues.append(queue)

    @property
    def has_free_place(self) -> bool:
        """True if fewer places are taken than there are."""
        return sum(queue.taken for queue in self._queues) < self._places

    def grant(self) -> None:
        """Grant the free places to the next waits of the queues that have one."""
        while waits := [wait for queue in self._queues if (wait := queue.next_wait) is not None]:
            first = min(waits)
            next(queue for queue in self._queues if queue.next_wait is first).grant_next()


class DeadlineQueue:
    """Places, and the waits for them by deadline; those that are equally due in order of arrival.

    One event loop. A place is taken by ``acquire``, or by ``take`` or ``enter`` and ``wait``, and given back
    by ``release``.
    """

    def __init__(self, capacity: Callable[[], int], shared: SharedLimit | None = None) -> None:
        """capacity: the current number of places; a change takes effect at the next acquire or release.

        shared: bounds them together with those of other queues.
        """
        self._capacity = capacity
        self._shared = shared or SharedLimit()
        self._shared.add(self)
        self._waits: list[Wait] = []  # the next one first
        self.taken = 0  # places that are held or were granted

    @property
    def waiting(self) -> int:
        return len(self._waits)

    @property
    def has_free_place(self) -> bool:
        """True if a place is neither held nor granted."""
        return self.taken < self._capacity() and self._shared.has_free_place

    @property
    def earliest_due(self) -> float:
        """Time at which the next wait is due, whether or not there is a place for it; ∞ if there is none."""
        return self._waits[0].due if self._waits else math.inf

    @property
    def next_wait(self) -> Wait | None:
        """The next wait, if there is a free place for it."""
        return self._waits[0] if self._waits and self.has_free_place else None

    def position(self, wait: Wait) -> int | None:
        """Position of ``wait``, 1 for the next; None if it has ended."""
        return self._waits.index(wait) + 1 if wait in self._waits else None

    async def acquire(self, due: float) -> None:
        """Take a place, in turn; a cancelled wait loses none. due: on any clock, the same for all."""
        if not self.take():
            await self.wait(self.enter(due))

    def take(self, *, always: bool = False) -> bool:
        """Take a place if one is free, ``always`` even beyond the capacity; returns whether it was taken."""
        self._shared.grant()
        taken = always or self.has_free_place
        self.taken += taken
        return taken

    def enter(self, due: float) -> Wait:
        """Begin a wait, which is to be awaited at once by ``wait``."""
        wait = Wait(due, next(_numbers), asyncio.get_running_loop().create_future())
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
            self._shared.grant()

    def release(self) -> None:
        """Give a place back, which the next wait gets."""
        self.taken -= 1
        self._shared.grant()

    def grant_next(self) -> None:
        wait = self._waits.pop(0)
        self.taken += 1
        if not wait.granted.done():
            wait.granted.set_result(None)
