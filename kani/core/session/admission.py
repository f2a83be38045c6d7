"""Admission of sessions: their number, the rate of each client, and the engines' slots."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from kani.core import tracing
from kani.core.engine import Engine
from kani.core.errors import Busy, RateLimited, ServerStopping
from kani.core.observer import Observer
from kani.core.request import Limits
from kani.core.session.slots import SharedLimit, SlotQueue


class RateLimit:
    """A token bucket for each client, which holds one minute's sessions."""

    def __init__(self, per_minute: int, clients: int = 10_000, clock: Callable[[], float] = time.monotonic):
        """per_minute: sessions, 0 for no limit; clients: buckets that are kept; the least recently used is
        dropped first, and its client gets a full one.
        """
        self._per_minute = per_minute
        self._clients = clients
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, client: str) -> bool:
        """Take a token from the bucket of ``client``; return False if it is empty."""
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
    """Counts sessions, owns the slots of all engines, and refuses sessions beyond the limits."""

    def __init__(self, limits: Limits, observer: Observer) -> None:
        self._limits = limits
        self._observer = observer
        self._rate = RateLimit(limits.rate_per_minute)
        self._queues: dict[tuple[str, bool], SlotQueue] = {}
        """Slots of each engine by its name, and of its light networks by its name and True."""
        self._none_open = asyncio.Event()
        self._none_open.set()
        self.sessions = 0  # open sessions
        self.draining = False  # True if new sessions are refused because the server shuts down

    def add_engine(self, engine: Engine) -> None:
        """Add the slots of an engine and of its light networks; ``Limits.max_concurrent`` bounds both."""
        shared = SharedLimit(self._limits.max_concurrent)

        def slots() -> int:
            own = engine.info.max_concurrency
            return min(own, self._limits.max_concurrent or own)

        def light_slots() -> int:
            return engine.info.light.slots if engine.info.light is not None else 0

        def are_streams() -> bool:
            # Fewer slots were chosen: then no more segments are synthesized at once.
            return engine.info.slots_are_streams and slots() == engine.info.max_concurrency

        for light, capacity in ((False, slots), (True, light_slots)):
            self._queues[engine.info.name, light] = SlotQueue(capacity, self._report, are_streams, shared)
        self._observer.engine_ready(engine.info.name, slots)

    @property
    def waiting(self) -> int:
        return sum(queue.waiting for queue in self._queues.values())

    @property
    def slots_in_use(self) -> int:
        return sum(queue.in_use for queue in self._queues.values())

    def admit(self, protocol: str, client: str, *, rate_limited: bool = True) -> None:
        """Admit a session; rate_limited: whether it counts for its client. Raises Busy or RateLimited."""
        if self.draining:
            self._report_refusal(protocol, "draining")
            raise ServerStopping
        if self.sessions >= self._limits.max_sessions:
            self._refuse(protocol, "sessions", f"too many sessions (at most {self._limits.max_sessions})")
        if rate_limited and not self._rate.allow(client):
            self._report_refusal(protocol, "rate")
            raise RateLimited(self._limits.rate_per_minute)
        self.sessions += 1
        self._none_open.clear()
        self._observer.session_opened(protocol)

    def release(self, protocol: str) -> None:
        self.sessions -= 1
        if not self.sessions:
            self._none_open.set()
        self._observer.session_closed(protocol)

    def check_queue(self, protocol: str, engine: str, *, light: bool = False) -> None:
        """Raise Busy if a session's first segment would wait for ``engine`` in a queue that is full.

        Not to be asked for later segments: speech that has begun is not broken off.
        """
        if self.waiting >= self._limits.max_waiting and not self.slots(engine, light=light).has_free_place:
            self._refuse(
                protocol, "queue", f"too many requests are waiting (at most {self._limits.max_waiting})"
            )

    def slots(self, engine: str, *, light: bool = False) -> SlotQueue:
        return self._queues[engine, light]

    async def wait_until_empty(self) -> None:
        """Return once no session is open."""
        await self._none_open.wait()

    def _refuse(self, protocol: str, reason: str, message: str) -> None:
        self._report_refusal(protocol, reason)
        raise Busy(message)

    def _report_refusal(self, protocol: str, reason: str) -> None:
        self._observer.session_refused(protocol, reason)
        tracing.current().event("refused", {"speech.protocol": protocol, "reason": reason})

    def _report(self) -> None:
        self._observer.waiting_changed(self.waiting)
        self._observer.slots_in_use_changed(self.slots_in_use)
