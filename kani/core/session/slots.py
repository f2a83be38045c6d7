"""An engine's slots, and the queue for them: the session that needs audio first goes first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Self

from kani.core.scheduling.deadline_queue import DeadlineQueue, SharedLimit, Wait

POSITION_INTERVAL_S = 0.25
"""Least seconds between two reported positions: in a long queue each changes with every segment."""


MARGIN_S = 1.0
"""A request is due this many seconds before its audio runs out, about a segment's time to its first sound;
otherwise it would be granted only after silence."""

MAX_LEAD_S = 10.0
"""Buffered audio postpones a request by at most this many seconds."""


Queued = Callable[[Callable[[], int | None]], None]
"""Called when a wait begins, with a function that returns its position, 1 for the next, None after it."""


class SlotQueue:
    """The slots of one engine.

    A session acquires a slot for each segment, and again after each suspension inside one, and has at
    most one request in the queue: a long text waits for the next segment of every other session. Requests are
    served in the order they become due: at once, or, where a session has audio left to play, ``MARGIN_S``
    before that runs out, postponed by ``MAX_LEAD_S`` at most. So sessions without audio yet are not delayed
    by those that only fill their buffers, and no request waits without end.

    Where the slots are streams, they bound the sessions that begin: a session keeps its slot from segment to
    segment, and what is still being played goes on without a wait, though a slot was lent meanwhile. With
    more sessions than the engine can synthesize in real time those that have begun play without gaps, and the
    others wait.
    """

    def __init__(
        self,
        capacity: Callable[[], int],
        changed: Callable[[], None],
        streams: Callable[[], bool] = lambda: False,
        shared: SharedLimit | None = None,
    ) -> None:
        """capacity: the current number of slots; a change takes effect at the next acquire or release.

        streams: whether the slots are streams; shared: bounds them together with those of other queues.
        """
        self._queue = DeadlineQueue(capacity, shared)
        self._streams = streams
        self._changed = changed
        self._watchers: set[Callable[[], None]] = set()
        self.in_use = 0
        """Slots with a running holder; one just handed to a waiter counts once the waiter has resumed."""

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    @property
    def are_streams(self) -> bool:
        """True if a session keeps its slot from segment to segment."""
        return self._streams()

    @property
    def has_free_slot(self) -> bool:
        """True if a slot is neither held nor handed to a waiter."""
        return self._queue.has_free_place

    def slot(self, ticket: QueueTicket | None = None, lead_s: Callable[[], float] = lambda: 0.0) -> Slot:
        """Return a slot to be held by ``async with``.

        ticket: follows its first wait in the queue; lead_s: seconds of audio that are left to play.
        """
        return Slot(self, ticket, lead_s)

    @contextmanager
    def watching(self, moved: Callable[[], None]) -> Iterator[None]:
        """Call ``moved`` whenever the queue moves while the body runs."""
        self._watchers.add(moved)
        try:
            yield
        finally:
            self._watchers.discard(moved)

    async def acquire(self, lead_s: float, queued: Queued | None = None) -> None:
        """Acquire a slot, in turn; a cancelled wait loses no slot.

        lead_s: seconds of audio that are left to play; queued: called if it has to wait.
        """
        if not self._queue.take(always=lead_s > 0 and self._streams()):
            wait = self._queue.enter(
                asyncio.get_running_loop().time() + min(max(lead_s - MARGIN_S, 0.0), MAX_LEAD_S)
            )
            if queued is not None:
                queued(partial(self._queue.position, wait))
            await self._wait(wait)
        self.in_use += 1
        self._changed()

    async def _wait(self, wait: Wait) -> None:
        self._changed()
        try:
            await self._queue.wait(wait)
        finally:
            for moved in tuple(self._watchers):
                moved()
            self._changed()

    def release(self) -> None:
        self.in_use -= 1
        self._queue.release()
        self._changed()


class QueueTicket:
    """A session's position in its engine's queue, until its first segment has a slot."""

    def __init__(self) -> None:
        self._position: Callable[[], int | None] | None = None
        self._moved = asyncio.Event()
        self._closed = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._closed.is_set()

    def queued(self, position: Callable[[], int | None]) -> None:
        """Note that the session waits; ``position`` returns its position, 1 for the next."""
        self._position = position
        self._moved.set()

    def moved(self) -> None:
        self._moved.set()

    def close(self) -> None:
        """Note that the slot was acquired, or is not needed."""
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
                async with asyncio.timeout(POSITION_INTERVAL_S):
                    await self._closed.wait()


class Slot:
    """One slot, held inside ``async with``, except while it is suspended.

    It is released once, however the block is left: where a cancellation ends a suspension or the wait to
    acquire the slot again, it is not held any more.
    """

    def __init__(self, queue: SlotQueue, ticket: QueueTicket | None, lead_s: Callable[[], float]) -> None:
        self._queue = queue
        self._ticket = ticket
        self._lead_s = lead_s
        self._since: float | None = None
        self._held_s = 0.0
        self.waited_s = 0.0  # seconds of the first wait

    async def __aenter__(self) -> Self:
        ticket, queue = self._ticket, self._queue
        self._held_s = 0.0
        asked_at = time.perf_counter()
        if ticket is None:
            await self._acquire()
        else:
            with queue.watching(ticket.moved):
                await self._acquire(ticket.queued)
            ticket.close()
            self._ticket = None
        self.waited_s = time.perf_counter() - asked_at
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    @property
    def queue(self) -> SlotQueue:
        return self._queue

    def hold_again(self) -> None:
        """Begin another segment with the slot, which is still held. RuntimeError where it is not."""
        if self._since is None:
            raise RuntimeError("the slot is not held any more")
        self._since, self._held_s, self.waited_s = time.perf_counter(), 0.0, 0.0

    def release(self) -> None:
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

    async def _acquire(self, queued: Queued | None = None) -> None:
        await self._queue.acquire(self._lead_s(), queued)
        self._since = time.perf_counter()

    def _release(self, since: float) -> None:
        self._held_s += time.perf_counter() - since
        self._since = None
        self._queue.release()
