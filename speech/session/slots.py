"""An engine's places, and the fair queue before them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Self

POSITION_INTERVAL_S = 0.25
"""How often a place in the queue is told at most: in a long queue everybody's changes with every segment."""


class SlotQueue:
    """The places of one engine, given in turn.

    A session asks for a place for each segment, and again after each rest inside one, and has at
    most one request in the queue, so a long text waits behind every other session's next
    segment: the queue is fair by turns.
    """

    def __init__(self, count: Callable[[], int], changed: Callable[[], None]) -> None:
        """count: how many there are now; what has been added is given with the next that come or go."""
        self._count = count
        # Beside those that are taken, those just handed over, whose new holders have not run yet.
        self._given = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._changed = changed
        self._watchers: set[Callable[[], None]] = set()
        self.in_use = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._queue)

    @property
    def has_free_slot(self) -> bool:
        """Whether there is a place that nobody has; those that wait get it first."""
        return self._given < self._count()

    def slot(self, turn: QueueTicket | None = None) -> Slot:
        """A place to be held by ``async with``; ``turn`` follows its first wait in the queue."""
        return Slot(self, turn)

    @contextmanager
    def watching(self, moved: Callable[[], None]) -> Iterator[None]:
        """``moved`` is called whenever the queue has moved, while the body runs."""
        self._watchers.add(moved)
        try:
            yield
        finally:
            self._watchers.discard(moved)

    def position(self, turn: asyncio.Future[None]) -> int | None:
        """Where ``turn`` stands in the queue, the next being 1; None if it stands there no more."""
        return self._queue.index(turn) + 1 if turn in self._queue else None

    async def acquire(self, queued: Callable[[asyncio.Future[None]], None] | None = None) -> None:
        """Wait in the queue and take a place; cancelling loses none. queued: told if it has to wait."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self._hand_on()
        if not turn.done():
            self._changed()
            if queued is not None:
                queued(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    # The place was handed over in the same loop step in which we were cancelled.
                    self._given -= 1
                    self._hand_on()
                elif turn in self._queue:
                    self._queue.remove(turn)
                    self._moved()
                    self._hand_on()
                self._changed()
                raise
        self.in_use += 1
        self._changed()

    def release(self) -> None:
        """Give a place that was taken to the next in the queue."""
        self.in_use -= 1
        self._given -= 1
        self._hand_on()
        self._changed()

    def _hand_on(self) -> None:
        waited = len(self._queue)
        while self._queue and self.has_free_slot:
            turn = self._queue.popleft()
            if not turn.done():
                self._given += 1
                turn.set_result(None)
        if len(self._queue) < waited:
            self._moved()

    def _moved(self) -> None:
        for moved in tuple(self._watchers):
            moved()


class QueueTicket:
    """Where a session stands in the queue before its engine, until its first segment has its place."""

    def __init__(self) -> None:
        self._position: Callable[[], int | None] | None = None
        self._moved = asyncio.Event()
        self._over = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether nobody has to wait any more."""
        return self._over.is_set()

    def queued(self, position: Callable[[], int | None]) -> None:
        """It has to wait; ``position`` tells where it stands, the next being 1."""
        self._position = position
        self._moved.set()

    def moved(self) -> None:
        """The queue has moved."""
        self._moved.set()

    def close(self) -> None:
        """The place is there, or is not needed."""
        self._over.set()
        self._moved.set()

    async def positions(self) -> AsyncGenerator[int, None]:
        """Where it stands, whenever that has changed, but not oftener than each ``POSITION_INTERVAL_S``."""
        told = None
        while not self.closed:
            self._moved.clear()
            position = self._position() if self._position is not None else None
            if position is None or position == told:
                await self._moved.wait()
                continue
            told = position
            yield position
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), POSITION_INTERVAL_S)


class Slot:
    """One place, held inside ``async with``, except while it rests.

    However one leaves, it goes to the next in the queue; where a cancel ends a rest or the wait
    for its return, it is not held any more, and so not given back a second time.
    """

    def __init__(self, places: SlotQueue, turn: QueueTicket | None = None) -> None:
        self._places = places
        self._turn = turn
        self._since: float | None = None
        self._held_s = 0.0
        self.waited_s = 0.0
        """Seconds it was waited for at first."""

    async def __aenter__(self) -> Self:
        turn, places = self._turn, self._places
        asked_at = time.perf_counter()
        if turn is None:
            await self._take()
        else:
            with places.watching(turn.moved):
                await self._take(lambda waiting: turn.queued(lambda: places.position(waiting)))
            turn.close()
        self.waited_s = time.perf_counter() - asked_at
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._since is not None:
            self._give_back(self._since)

    @property
    def held_s(self) -> float:
        """Seconds in which it has been held so far."""
        return self._held_s + (time.perf_counter() - self._since if self._since is not None else 0.0)

    @asynccontextmanager
    async def suspended(self) -> AsyncIterator[None]:
        """Lend the place to others for as long as the body runs, then take one again in turn.

        RuntimeError where none is held.
        """
        if self._since is None:
            raise RuntimeError("a place can rest only while it is held")
        self._give_back(self._since)
        yield
        await self._take()

    async def _take(self, queued: Callable[[asyncio.Future[None]], None] | None = None) -> None:
        await self._places.acquire(queued)
        self._since = time.perf_counter()

    def _give_back(self, since: float) -> None:
        self._held_s += time.perf_counter() - since
        self._since = None
        self._places.release()
