"""The slots of engines, and the queue for them: the wait that is due first gets the next free one."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import insort
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Self

from typing_extensions import override

from kani.core import shared_numbers
from kani.core.shared_numbers import LiveNumbers, Number

POSITION_INTERVAL_S = 0.25
"""Least seconds between two reported positions: in a long queue each changes with every segment."""

MARGIN_S = 1.0
"""A request is due this many seconds before its audio runs out, about a segment's time to its first sound;
otherwise it would be granted only after silence."""

MAX_LEAD_S = 10.0
"""Buffered audio postpones a request by at most this many seconds."""

LOOK_S = 0.02
"""Seconds between two looks at the places of other processes of this server, while something waits."""

_numbers = count()


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """A wait for a place; the least one is next."""

    due: float
    number: int
    queue: DeadlineQueue = field(compare=False)
    granted: asyncio.Future[None] = field(compare=False)


class SharedLimit:
    """Bounds the places of several queues together: the wait that is due first of all goes first."""

    def __init__(self, places: int | None = None) -> None:
        """places: of all queues; None for no bound but their own."""
        self._places = math.inf if places is None else places
        self._queues: list[DeadlineQueue] = []
        self._look: asyncio.TimerHandle | None = None

    def add(self, queue: DeadlineQueue) -> None:
        """Bound ``queue`` too."""
        self._queues.append(queue)

    @property
    def has_free_place(self) -> bool:
        """True if fewer places are taken than there are."""
        return sum(queue.taken + queue.taken_elsewhere for queue in self._queues) < self._places

    def grant(self) -> None:
        """Grant the free places to the next waits of the queues that have one."""
        while waits := [queue.waits[0] for queue in self._queues if queue.may_grant]:
            first = min(waits)
            first.queue.waits.remove(first)
            first.queue.taken += 1
            if not first.granted.done():
                first.granted.set_result(None)
        if self._look is not None:
            self._look.cancel()
            self._look = None
        shared = [queue for queue in self._queues if queue.tell()]
        if any(queue.waits for queue in shared):
            # No event tells that another process gave a place back.
            self._look = asyncio.get_running_loop().call_later(LOOK_S, self.grant)


class DeadlineQueue:
    """Places, and the waits for them by deadline; those that are equally due in order of arrival.

    One event loop. A place is taken by ``acquire``, or by ``take`` or ``enter`` and ``wait``, and given back
    by ``release``.
    """

    def __init__(self, capacity: Callable[[], int], shared: SharedLimit | None = None, name: str = ""):
        """capacity: the current number of places; a change takes effect at the next acquire or release.

        shared: bounds them together with those of other queues; name: under which the processes of this
        server share them, if they do.
        """
        self._is_shared = name != "" and shared_numbers.shared is not None
        self._places, self._waiting = Number(f"{name} places"), Number(f"{name} waits")
        self._due = LiveNumbers(f"{name} due")
        self._capacity = capacity
        self._shared = shared or SharedLimit()
        self._shared.add(self)
        self.waits: list[Wait] = []  # the next one first
        self.taken = 0  # places that are held or were granted

    @property
    def has_free_place(self) -> bool:
        """True if a place is neither held nor granted."""
        return self.taken + self.taken_elsewhere < self._capacity() and self._shared.has_free_place

    @property
    def taken_elsewhere(self) -> int:
        """Places that other processes hold."""
        return int(sum(self._places.others)) if self._is_shared else 0

    @property
    def waits_elsewhere(self) -> int:
        return int(sum(self._waiting.others)) if self._is_shared else 0

    @property
    def may_grant(self) -> bool:
        """True if there is a place for the next wait, and no other process has one that is due before."""
        return bool(self.waits) and self.has_free_place and self._is_first(self.waits[0].due)

    def _is_first(self, due: float) -> bool:
        return not self._is_shared or due <= min(self._due.others, default=math.inf)

    def tell(self) -> bool:
        """Tell other processes what is taken and waits here; return False where there are none."""
        if not self._is_shared:
            return False
        self._places.own, self._waiting.own = self.taken, len(self.waits)
        self._due.say(self.earliest_due)
        return True

    @property
    def earliest_due(self) -> float:
        """Time at which the next wait is due, whether or not there is a place for it; ∞ if there is none."""
        return self.waits[0].due if self.waits else math.inf

    def position(self, wait: Wait) -> int | None:
        """Position of ``wait``, 1 for the next; None if it has ended."""
        return self.waits.index(wait) + 1 if wait in self.waits else None

    async def acquire(self, due: float) -> None:
        """Take a place, in turn; a cancelled wait loses none. due: on any clock, the same for all."""
        if not self.take():
            await self.wait(self.enter(due))

    def take(self, *, always: bool = False) -> bool:
        """Take a place if one is free, ``always`` even beyond the capacity; returns whether it was taken."""
        self._shared.grant()
        taken = always or (self.has_free_place and self._is_first(math.inf))
        self.taken += taken
        self.tell()
        return taken

    def enter(self, due: float) -> Wait:
        """Begin a wait, which is to be awaited at once by ``wait``."""
        wait = Wait(due, next(_numbers), self, asyncio.get_running_loop().create_future())
        insort(self.waits, wait)
        self._shared.grant()
        return wait

    async def wait(self, wait: Wait) -> None:
        """Return once ``wait`` has its place; a cancelled one loses none."""
        try:
            await wait.granted
        except asyncio.CancelledError:
            if wait in self.waits:
                self.waits.remove(wait)
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


class SlotQueue(DeadlineQueue):
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
        changed: Callable[[], None] = lambda: None,
        streams: Callable[[], bool] = lambda: False,
        shared: SharedLimit | None = None,
        name: str = "",
    ) -> None:
        """capacity, shared, name: as of ``DeadlineQueue``; changed: called after each change of the slots in
        use or the waits; streams: whether the slots are streams.
        """
        super().__init__(capacity, shared, name)
        self._changed = changed
        self._streams = streams
        self._tickets: set[QueueTicket] = set()
        self.in_use = 0
        """Slots with a running holder; one just handed to a waiter counts once the waiter has resumed."""

    @property
    def are_streams(self) -> bool:
        """True if a session keeps its slot from segment to segment."""
        return self._streams()

    async def acquire_slot(self, lead_s: float, ticket: QueueTicket | None = None) -> None:
        """Acquire a slot, in turn; a cancelled wait loses no slot.

        lead_s: seconds of audio that are left to play; ticket: follows the wait, if there is one.
        """
        if not self.take(always=lead_s > 0 and self._streams()):
            due = asyncio.get_running_loop().time() + min(max(lead_s - MARGIN_S, 0.0), MAX_LEAD_S)
            wait = self.enter(due)
            if ticket is not None:
                ticket.queued(partial(self.position, wait))
                self._tickets.add(ticket)
            self._changed()
            try:
                await self.wait(wait)
            finally:
                for waiting in self._tickets:
                    waiting.moved()
                if ticket is not None:
                    self._tickets.discard(ticket)
                self._changed()
        self.in_use += 1
        self._changed()

    @override
    def release(self) -> None:
        self.in_use -= 1
        super().release()
        self._changed()


@dataclass(eq=False)
class QueueTicket:
    """A session's position in its engine's queue, until its first segment has a slot."""

    _position: Callable[[], int | None] | None = None
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: asyncio.Event = field(default_factory=asyncio.Event)

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

    def __init__(
        self, queue: SlotQueue, ticket: QueueTicket | None = None, lead_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """ticket: follows its first wait in the queue; lead_s: seconds of audio that are left to play."""
        self.queue = queue
        self._ticket = ticket
        self._lead_s = lead_s
        self._since: float | None = None
        self._held_s = 0.0
        self.waited_s = 0.0  # seconds of the first wait

    async def __aenter__(self) -> Self:
        ticket, self._ticket = self._ticket, None
        self._held_s = 0.0
        asked_at = time.perf_counter()
        await self._acquire(ticket)
        if ticket is not None:
            ticket.close()
        self.waited_s = time.perf_counter() - asked_at
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()

    def hold_again(self) -> None:
        """Begin another segment with the slot, which is still held. RuntimeError where it is not."""
        if self._since is None:
            raise RuntimeError("the slot is not held any more")
        self._since, self._held_s, self.waited_s = time.perf_counter(), 0.0, 0.0

    def release(self) -> None:
        if self._since is not None:
            self._held_s += time.perf_counter() - self._since
            self._since = None
            self.queue.release()

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
        self.release()
        yield
        await self._acquire()

    async def _acquire(self, ticket: QueueTicket | None = None) -> None:
        await self.queue.acquire_slot(self._lead_s(), ticket)
        self._since = time.perf_counter()
