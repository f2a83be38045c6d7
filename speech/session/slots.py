"""An engine's slots, and the fair queue before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Self

from anyio import CapacityLimiter, WouldBlock

POSITION_INTERVAL_S = 0.25
"""Least seconds between two reported positions: in a long queue each changes with every segment."""


class SlotQueue:
    """The slots of one engine, acquired in the order of asking.

    A session acquires a slot for each segment, and again after each suspension inside one, and has at
    most one request in the queue: a long text waits behind the next segment of every other session.
    """

    def __init__(self, capacity: Callable[[], int], changed: Callable[[], None]) -> None:
        """capacity: the current number of slots; a change takes effect at the next acquire or release."""
        self._capacity = capacity
        self._limiter = CapacityLimiter(capacity())
        self._waiters: dict[Slot, None] = {}
        self._changed = changed
        self._watchers: set[Callable[[], None]] = set()
        self.in_use = 0
        """Slots whose holders run; one just handed to a waiter counts once the waiter has resumed."""

    @property
    def waiting(self) -> int:
        """Number of requests that wait for a slot."""
        return self._limiter.statistics().tasks_waiting

    @property
    def has_free_slot(self) -> bool:
        """True if a slot is neither held nor handed to a waiter."""
        return self._limiter.borrowed_tokens < self._capacity()

    def slot(self, ticket: QueueTicket | None = None) -> Slot:
        """Return a slot to be held by ``async with``; ``ticket`` follows its first wait in the queue."""
        return Slot(self, ticket)

    @contextmanager
    def watching(self, moved: Callable[[], None]) -> Iterator[None]:
        """Call ``moved`` whenever the queue moves while the body runs."""
        self._watchers.add(moved)
        try:
            yield
        finally:
            self._watchers.discard(moved)

    def position(self, slot: Slot) -> int | None:
        """Position of ``slot`` in the queue, 1 for the next; None if it does not wait."""
        return [*self._waiters].index(slot) + 1 if slot in self._waiters else None

    async def acquire(self, slot: Slot, queued: Callable[[], None] | None = None) -> None:
        """Acquire ``slot``, in turn; a cancelled wait loses no slot. queued: called if it has to wait."""
        self._limiter.total_tokens = self._capacity()
        try:
            self._limiter.acquire_on_behalf_of_nowait(slot)
        except WouldBlock:
            await self._wait(slot, queued)
        self.in_use += 1
        self._changed()

    async def _wait(self, slot: Slot, queued: Callable[[], None] | None) -> None:
        self._waiters[slot] = None
        # In the next turn of the loop: the limiter counts a waiter once it waits.
        asyncio.get_running_loop().call_soon(self._changed)
        if queued is not None:
            queued()
        try:
            await self._limiter.acquire_on_behalf_of(slot)
        finally:
            del self._waiters[slot]
            self._limiter.total_tokens = self._capacity()
            for moved in tuple(self._watchers):
                moved()
            self._changed()

    def release(self, slot: Slot) -> None:
        """Release ``slot``, which the next in the queue gets."""
        self.in_use -= 1
        self._limiter.total_tokens = self._capacity()
        self._limiter.release_on_behalf_of(slot)
        self._changed()


class QueueTicket:
    """A session's position in its engine's queue, until its first segment has a slot."""

    def __init__(self) -> None:
        self._position: Callable[[], int | None] | None = None
        self._moved = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        """True if there is nothing to wait for any more."""
        return self._closed.is_set()

    def queued(self, position: Callable[[], int | None]) -> None:
        """Note that the session waits; ``position`` returns its position, 1 for the next."""
        self._position = position
        self._moved.set()

    def moved(self) -> None:
        """Note that the queue has moved."""
        self._moved.set()

    def close(self) -> None:
        """Note that the slot was acquired, or is not needed."""
        # It holds the slot, which holds this ticket.
        self._position = None
        self._closed.set()
        self._moved.set()

    async def positions(self) -> AsyncGenerator[int, None]:
        """Yield the position whenever it has changed, at most once in ``POSITION_INTERVAL_S``."""
        reported = None
        while not self.closed:
            self._moved.clear()
            position = self._position() if self._position is not None else None
            if position is None or position == reported:
                await self._moved.wait()
                continue
            reported = position
            yield position
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), POSITION_INTERVAL_S)


class Slot:
    """One slot, held inside ``async with``, except while it is suspended.

    It is released once, however the block is left: where a cancellation ends a suspension or the wait to
    acquire the slot again, it is not held any more.
    """

    def __init__(self, queue: SlotQueue, ticket: QueueTicket | None = None) -> None:
        self._queue = queue
        self._ticket = ticket
        self._since: float | None = None
        self._held_s = 0.0
        self.waited_s = 0.0
        """Seconds of the first wait."""

    async def __aenter__(self) -> Self:
        ticket, queue = self._ticket, self._queue
        asked_at = time.perf_counter()
        if ticket is None:
            await self._acquire()
        else:
            with queue.watching(ticket.moved):
                await self._acquire(lambda: ticket.queued(lambda: queue.position(self)))
            ticket.close()
        self.waited_s = time.perf_counter() - asked_at
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since is not None:
            self._release(self._since)

    @property
    def held_s(self) -> float:
        """Seconds for which the slot has been held so far."""
        return self._held_s + (time.perf_counter() - self._since if self._since is not None else 0.0)

    @asynccontextmanager
    async def suspended(self) -> AsyncIterator[None]:
        """Release the slot while the body runs, then acquire one again, in turn.

        RuntimeError where none is held.
        """
        if self._since is None:
            raise RuntimeError("only a slot that is held can be suspended")
        self._release(self._since)
        yield
        await self._acquire()

    async def _acquire(self, queued: Callable[[], None] | None = None) -> None:
        await self._queue.acquire(self, queued)
        self._since = time.perf_counter()

    def _release(self, since: float) -> None:
        self._held_s += time.perf_counter() - since
        self._since = None
        self._queue.release(self)
