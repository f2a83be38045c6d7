"""Admission of sessions: their limits, the rate of each client, and their turns at the engines' slots."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

from kani.core import shared_numbers, tracing
from kani.core.engine import Engine
from kani.core.errors import Busy, RateLimited, ServerStopping, SpeechError
from kani.core.observer import Observer
from kani.core.request import MAX_TEXT
from kani.core.session.output import WaitTimeout
from kani.core.session.priority import SessionPriority
from kani.core.session.report import SessionReport
from kani.core.session.slots import QueueTicket, SharedLimit, Slot, SlotQueue
from kani.core.voices.catalogue import ResolvedVoice


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a service; the setting of a limit has its name."""

    max_text: int = MAX_TEXT
    """Characters of one session."""
    max_connections: int = 4096
    """Open sessions."""
    max_waiting: int = 1000
    """Sessions that may wait for their first slot."""
    ahead_s: float = 30.0
    """Seconds of audio that synthesis may be ahead of its reader."""
    rate_per_minute: int = 0
    """Sessions per minute and client; 0 for no limit."""
    request_timeout: float = 600.0
    """Seconds for which a client may wait in all for the audio of a complete text; 0 for no limit."""
    max_concurrent: int | None = None
    """Segments that one engine synthesizes at the same time; None for ``EngineInfo.max_concurrency``."""


class RateLimit:
    """A token bucket for each client, which holds one minute's sessions."""

    def __init__(self, per_minute: int, clients: int = 10_000, clock: Callable[[], float] = time.monotonic):
        """per_minute: sessions, 0 for no limit; clients: buckets that are kept, and 1 % more for a while; the
        least recently used are dropped first, and their clients get full ones.
        """
        self._database = shared_numbers.database()
        columns = "used INTEGER PRIMARY KEY, client TEXT UNIQUE, tokens REAL, at REAL"
        self._database.execute(f"CREATE TABLE IF NOT EXISTS rate ({columns})")
        self._clients, self._per_minute = clients, per_minute
        self._clock = clock

    def allow(self, client: str) -> bool:
        """Take a token from the bucket of ``client``; return False if it is empty."""
        if not self._per_minute:
            return True
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            now = self._clock()
            known = database.execute("SELECT tokens, at FROM rate WHERE client = ?", (client,)).fetchone()
            tokens, then = known or (float(self._per_minute), now)
            tokens = min(float(self._per_minute), tokens + (now - then) * self._per_minute / 60)
            allowed = tokens >= 1
            row = (client, tokens - allowed, now)
            used = database.execute("REPLACE INTO rate (client, tokens, at) VALUES (?, ?, ?)", row).lastrowid
            if used is not None and used % max(self._clients // 100, 1) == 0:  # it reads all buckets
                oldest = "SELECT used FROM rate ORDER BY used DESC LIMIT 1 OFFSET ?"
                database.execute(f"DELETE FROM rate WHERE used <= ({oldest})", (self._clients,))  # noqa: S608
        return bool(allowed)


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
        self._open = shared_numbers.Number("open sessions")
        self.draining = False  # True if new sessions are refused because the server shuts down
        observer.watch_slots(lambda: self.waiting, lambda: self.slots_in_use)

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
            return engine.info.sharing.by_deadline and slots() == engine.info.max_concurrency

        for light, capacity in ((False, slots), (True, light_slots)):
            key = engine.info.name, light
            self._queues[key] = SlotQueue(capacity, streams=are_streams, shared=shared, name=str(key))
        self._observer.engine_ready(engine.info.name, slots)

    # Scrapes of the metrics count in a thread, while engines may join.
    @property
    def waiting(self) -> int:
        """Segments that wait for a slot."""
        return sum(len(queue.waits) + queue.waits_elsewhere for queue in [*self._queues.values()])

    @property
    def slots_in_use(self) -> int:
        """Slots that are held, over all engines."""
        return sum(queue.in_use + queue.taken_elsewhere for queue in [*self._queues.values()])

    @property
    def sessions(self) -> int:
        """Open sessions of all processes, recognition included."""
        return int(self._open.total)

    def admit(self, protocol: str, client: str, *, rate_limited: bool = True) -> None:
        """Admit a session; rate_limited: whether it counts for its client. Raises Busy or RateLimited."""
        if self.draining:
            self._refuse(protocol, "draining", ServerStopping())
        if self.sessions >= self._limits.max_connections:
            busy = Busy(f"too many sessions (at most {self._limits.max_connections})")
            self._refuse(protocol, "sessions", busy)
        if rate_limited and not self._rate.allow(client):
            self._refuse(protocol, "rate", RateLimited(self._limits.rate_per_minute))
        self._open.own += 1
        self._none_open.clear()
        self._observer.session_opened(protocol)

    def release(self, protocol: str) -> None:
        self._open.own -= 1
        if not self._open.own:
            self._none_open.set()
        self._observer.session_closed(protocol)

    def check_queue(self, protocol: str, engine: str, *, light: bool = False) -> None:
        """Raise Busy if a session's first segment would wait for ``engine`` in a queue that is full.

        Not to be asked for later segments: speech that has begun is not broken off.
        """
        if self.waiting >= self._limits.max_waiting and not self.slots(engine, light=light).has_free_place:
            busy = Busy(f"too many requests are waiting (at most {self._limits.max_waiting})")
            self._refuse(protocol, "queue", busy)

    def slots(self, engine: str, *, light: bool = False) -> SlotQueue:
        return self._queues[engine, light]

    async def wait_until_empty(self) -> None:
        """Return once no session is open."""
        await self._none_open.wait()

    def _refuse(self, protocol: str, reason: str, error: SpeechError) -> NoReturn:
        self._observer.session_refused(protocol, reason)
        tracing.current().event("refused", {"speech.protocol": protocol, "reason": reason})
        raise error


@dataclass(eq=False)
class SlotAccess:
    """Acquires and suspends slots for one session."""

    _admission: Admission
    _report: SessionReport
    _timeout: WaitTimeout  # stands still while higher priorities go first
    priority: SessionPriority  # of the session, among those of its connection
    _low_latency: bool  # True if the client plays the audio while it is made
    ticket: QueueTicket = field(default_factory=QueueTicket)  # follows the first wait for a slot
    _light: dict[str, bool] = field(default_factory=dict)
    """True if the light network speaks each voice that has one: once chosen, a session keeps it."""
    _kept: Slot | None = None  # the slot of the segment before, still held

    def choose_network(self, voice: ResolvedVoice) -> ResolvedVoice:
        """Return ``voice`` with the network that speaks it in this session (``EngineInfo.light``)."""
        info = voice.engine.info
        if info.light is None or not info.light.speak(voice.voice, voice.language):
            return voice
        slots = self._admission.slots(info.name)
        # If fewer slots were chosen, no more segments than these are wanted at once.
        full = slots.are_streams and not slots.has_free_place
        light = self._light.setdefault(voice.voice, info.light.always or full)
        return replace(voice, light=light)

    def slot(self, voice: ResolvedVoice) -> Slot:
        """Return the slot that was kept, or one of the voice's engine that is not yet acquired."""
        slots = self._admission.slots(voice.engine.info.name, light=voice.light)
        if self._kept is not None and self._kept.queue is slots:
            return self._kept
        self.release()
        return Slot(slots, None if self.ticket.closed else self.ticket, self._lead_s)

    def release(self) -> None:
        """Release the slot that was kept, if any: the session has nothing to synthesize now."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.release()

    def _lead_s(self) -> float:
        """Seconds of audio left to play; none for a client that waits for the whole of it."""
        return self.priority.playback.ahead_s if self._low_latency else 0.0

    @asynccontextmanager
    async def held(self, slot: Slot, engine: str, *, keep: bool = False) -> AsyncGenerator[None, None]:
        """Hold ``slot``, which is one of ``engine``'s, while the body runs.

        keep: where slots are streams, keep it after the body for the next segment, until ``release``.
        """
        with self._report.trace.span.child("wait", {"speech.engine": engine}) as waiting:
            kept, self._kept = self._kept is slot, None
            if not kept:
                await self.wait_for_turn()
            with self.priority.working():
                async with AsyncExitStack() as stack:
                    if kept:
                        slot.hold_again()
                        stack.push_async_exit(slot)
                    else:
                        await stack.enter_async_context(slot)
                    self._report.slot_acquired(engine, slot.waited_s)
                    while self.priority.must_wait:
                        async with self.suspended(slot):
                            await self.wait_for_turn()
                    waiting.end()
                    yield
                    if keep and self._low_latency and slot.queue.are_streams:
                        self._kept = slot
                        stack.pop_all()

    @asynccontextmanager
    async def suspended(self, slot: Slot) -> AsyncGenerator[None, None]:
        """Lend ``slot`` to other sessions while the body runs, which must not use the engine."""
        async with slot.suspended():
            with self.priority.working(False):
                yield

    async def wait_for_turn(self) -> None:
        """Wait while sessions of the same connection with a higher priority go first."""
        if self.priority.must_wait:
            with self._timeout.suspended():
                await self.priority.wait_for_turn()
