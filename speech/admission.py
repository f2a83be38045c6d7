"""Who may speak now: open sessions, engine places, and the fair queue before them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from speech.errors import Busy
from speech.observer import Observer
from speech.request import Limits


class Places:
    """The places of one engine, given in turn.

    A session asks for a place for each segment, and again after each rest inside one, and has at
    most one request in the queue, so a long text waits behind every other session's next
    segment: the queue is fair by turns.
    """

    def __init__(self, count: int, changed: Callable[[], None]) -> None:
        self._free = count
        self._queue: deque[asyncio.Future[None]] = deque()
        self._changed = changed
        self.taken = 0

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._queue)

    @property
    def free(self) -> bool:
        """Whether a request would get a place at once."""
        return self._free > 0

    def place(self) -> Place:
        """A place to be held by ``async with``."""
        return Place(self)

    async def acquire(self) -> None:
        """Wait in the queue and take a place; cancelling loses none."""
        if self._free and not self._queue:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.append(turn)
            self._changed()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    # The place was handed over in the same loop step in which we were cancelled.
                    self._hand_on()
                elif turn in self._queue:
                    self._queue.remove(turn)
                self._changed()
                raise
        self.taken += 1
        self._changed()

    def release(self) -> None:
        """Give a place that was taken to the next in the queue."""
        self.taken -= 1
        self._hand_on()
        self._changed()

    def _hand_on(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Place:
    """One place, held inside ``async with``, except while it rests.

    However one leaves, it goes to the next in the queue; where a cancel ends a rest or the wait
    for its return, it is not held any more, and so not given back a second time.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._since: float | None = None
        self._held_s = 0.0

    async def __aenter__(self) -> Self:
        await self._take()
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
    async def rest(self) -> AsyncIterator[None]:
        """Lend the place to others for as long as the body runs, then take one again in turn.

        RuntimeError where none is held.
        """
        if self._since is None:
            raise RuntimeError("a place can rest only while it is held")
        self._give_back(self._since)
        yield
        await self._take()

    async def _take(self) -> None:
        await self._places.acquire()
        self._since = time.perf_counter()

    def _give_back(self, since: float) -> None:
        self._held_s += time.perf_counter() - since
        self._since = None
        self._places.release()


class RateLimit:
    """A token bucket a client: so many sessions a minute, a minute's worth at once.

    ``clients`` bounds how many clients are remembered; the one not seen for longest is forgotten
    first, which only ever forgives.
    """

    def __init__(self, per_minute: int, clients: int = 10_000, clock: Callable[[], float] = time.monotonic):
        self._per_minute = per_minute
        self._clients = clients
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, client: str) -> bool:
        """Take one token of ``client``; False if it has none."""
        if not self._per_minute:
            return True
        now = self._clock()
        tokens, then = self._buckets.pop(client, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - then) * self._per_minute / 60)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        while len(self._buckets) > self._clients:
            self._buckets.popitem(last=False)
        return allowed


class Admission:
    """The door of a service: counts sessions, hands out places, refuses by type."""

    def __init__(self, limits: Limits, places: dict[str, int], observer: Observer) -> None:
        self._limits = limits
        self._observer = observer
        self._rate = RateLimit(limits.rate_per_minute)
        self._places = {name: Places(count, self._report) for name, count in places.items()}
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.sessions = 0
        self.draining = False

    @property
    def waiting(self) -> int:
        """Syntheses that wait for a place, over all engines."""
        return sum(places.waiting for places in self._places.values())

    @property
    def speaking(self) -> int:
        """Places taken, over all engines."""
        return sum(places.taken for places in self._places.values())

    def enter(self, protocol: str, client: str) -> None:
        """Admit a session. Raises Busy, with the reason, when it has to be refused."""
        if self.draining:
            self._refuse(protocol, "draining", "the server is shutting down")
        if self.sessions >= self._limits.max_sessions:
            self._refuse(protocol, "sessions", f"too many sessions (at most {self._limits.max_sessions})")
        if not self._rate.allow(client):
            limit = self._limits.rate_per_minute
            self._refuse(protocol, "rate", f"too many requests (at most {limit} a minute)")
        self.sessions += 1
        self._none_open.clear()
        self._observer.session_opened(protocol)

    def leave(self, protocol: str) -> None:
        """A session that was admitted has ended."""
        self.sessions -= 1
        if not self.sessions:
            self._none_open.set()
        self._observer.session_closed(protocol)

    def begin(self, protocol: str, engine: str) -> None:
        """A session is about to speak its first segment. Raises Busy when it would wait in a full queue.

        Later segments are never refused: speech that has begun is not broken off.
        """
        if self.waiting >= self._limits.max_waiting and not self._places[engine].free:
            self._refuse(
                protocol, "queue", f"too many requests are waiting (at most {self._limits.max_waiting})"
            )

    def places(self, engine: str) -> Places:
        """The places of ``engine``."""
        return self._places[engine]

    async def empty(self) -> None:
        """Return once no session is open."""
        await self._none_open.wait()

    def _refuse(self, protocol: str, reason: str, sentence: str) -> None:
        self._observer.refused(protocol, reason)
        raise Busy(sentence)

    def _report(self) -> None:
        self._observer.waiting(self.waiting)
        self._observer.speaking(self.speaking)
