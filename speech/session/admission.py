"""Who may speak now: open sessions, how often a client comes, and the engines' places."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from speech.errors import Busy, RateLimited
from speech.observer import Observer
from speech.request import Limits
from speech.session.slots import SlotQueue


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

    def __init__(self, limits: Limits, slots: Mapping[str, Callable[[], int]], observer: Observer) -> None:
        """places: how many each engine has now, by its name."""
        self._limits = limits
        self._observer = observer
        self._rate = RateLimit(limits.rate_per_minute)
        self._places: dict[str, SlotQueue] = {}
        for name, count in slots.items():
            self.add_engine(name, count)
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.sessions = 0
        self.draining = False

    def add_engine(self, engine: str, count: Callable[[], int]) -> None:
        """Have the places of one engine more; count: how many it has now."""
        self._places[engine] = SlotQueue(count, self._report)

    @property
    def waiting(self) -> int:
        """Syntheses that wait for a place, over all engines."""
        return sum(places.waiting for places in self._places.values())

    @property
    def slots_in_use(self) -> int:
        """Places taken, over all engines."""
        return sum(places.in_use for places in self._places.values())

    def admit(self, protocol: str, client: str) -> None:
        """Admit a session. Raises Busy, with the reason, when it has to be refused."""
        if self.draining:
            self._refuse(protocol, "draining", "the server is shutting down")
        if self.sessions >= self._limits.max_sessions:
            self._refuse(protocol, "sessions", f"too many sessions (at most {self._limits.max_sessions})")
        if not self._rate.allow(client):
            self._observer.session_refused(protocol, "rate")
            raise RateLimited(self._limits.rate_per_minute)
        self.sessions += 1
        self._none_open.clear()
        self._observer.session_opened(protocol)

    def release(self, protocol: str) -> None:
        """A session that was admitted has ended."""
        self.sessions -= 1
        if not self.sessions:
            self._none_open.set()
        self._observer.session_closed(protocol)

    def check_queue(self, protocol: str, engine: str) -> None:
        """A session is about to speak its first segment. Raises Busy when it would wait in a full queue.

        Later segments are never refused: speech that has begun is not broken off.
        """
        if self.waiting >= self._limits.max_waiting and not self._places[engine].has_free_slot:
            self._refuse(
                protocol, "queue", f"too many requests are waiting (at most {self._limits.max_waiting})"
            )

    def slots(self, engine: str) -> SlotQueue:
        """The places of ``engine``."""
        return self._places[engine]

    async def wait_until_empty(self) -> None:
        """Return once no session is open."""
        await self._none_open.wait()

    def _refuse(self, protocol: str, reason: str, sentence: str) -> None:
        self._observer.session_refused(protocol, reason)
        raise Busy(sentence)

    def _report(self) -> None:
        self._observer.waiting_changed(self.waiting)
        self._observer.slots_in_use_changed(self.slots_in_use)
