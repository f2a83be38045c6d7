"""The ways to several workers of one engine or recogniser; addresses may change while they are used.

A segment goes to the least loaded worker, as far as this server knows by its own segments. Where those of
other servers fill it, it refuses, and the next one is tried; where all are full, the segment waits at the
first. Where the engine keeps the voices of sessions, ``RemoteEngine`` asks the worker of a session's last
segment before the others. A recognition goes to the worker that has the fewest of this server, and stays
there. A worker that is lost, or that drains, gets neither until it is reached again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace

from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.recognizer import RecognizerInfo
from kani.engines.pool_metrics import WorkerState
from kani.engines.remote.address import Address
from kani.engines.remote.connection import Connection
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.link import MAX_WAIT_S, UNAVAILABLE, Link
from kani.engines.remote.messages import Ready
from kani.runtime.cancelling import end_tasks

log = logging.getLogger(__name__)

DISCOVERY_S = 1.0
"""Seconds between two questions for the addresses."""

Discover = Callable[[bool], Awaitable[Collection[str]]]
"""Returns the addresses of workers; raises OSError where they cannot be asked for.

Its argument is True while every worker that it has returned is refused, as each has another engine than the
server began with.
"""

Served = EngineInfo | RecognizerInfo

START_S = 120.0
"""Longest wait for the first worker: where addresses are asked for it may still load its model."""


@dataclass(eq=False)
class Pool:
    _key: str
    _changed: Callable[[Ready], None]
    """Called with the description of the engine, with the slots of all workers, or of the recogniser."""
    _discover: Discover | None  # asked every ``DISCOVERY_S``; ``update`` gives the addresses that are known
    patient: bool = False  # True to wait for the first worker for any time
    recognizers: bool = False  # True if workers with a recogniser are wanted, instead of those with an engine
    _members: dict[str, _Member] = field(default_factory=dict)
    _finishing: set[asyncio.Task[None]] = field(default_factory=set)
    _moved: asyncio.Event = field(default_factory=asyncio.Event)
    _first: Served | None = None
    _turn: int = 0
    _started: bool = False
    _asking: asyncio.Task[None] | None = None

    def update(self, addresses: Collection[str]) -> None:
        """Use the workers at ``addresses``; one that is not among them finishes what it speaks."""
        wanted = {str(Address.parse(address)) for address in addresses}
        for address in self._members.keys() - wanted:
            self._retire(self._members.pop(address))
        for address in sorted(wanted - self._members.keys()):
            member = self._members[address] = _Member(address, self._key, self)
            if self._started:
                member.link.start_later()

    def _retire(self, member: _Member) -> None:
        # Its slots count no more, and its last exchanges may take minutes.
        task = asyncio.create_task(member.link.stop(finish=True), context=contextvars.Context())
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        self.moved()

    async def start(self) -> None:
        """Reach one worker at least; the others are reached in the background. Raises EngineUnavailable."""
        self._started = True
        for member in self._members.values():
            member.link.start_later()
        if self._discover is not None:
            self._asking = asyncio.create_task(self._ask(self._discover), context=contextvars.Context())
            self._asking.add_done_callback(_report)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if self.patient else START_S):
                while not self._now_usable() and not self._hopeless:
                    self._moved.clear()
                    await self._moved.wait()
        if not self._now_usable():
            reasons = "; ".join(member.reason for member in self._members.values() if member.reason)
            await self.stop()
            reason = reasons or f"no engine worker was there in {START_S:g} s"
            raise EngineUnavailable(reason, passing=True)

    @property
    def _hopeless(self) -> bool:
        """True if no worker could be reached at first, and there will be no others."""
        return self._asking is None and all(member.reason for member in self._members.values())

    async def _ask(self, discover: Discover) -> None:
        known = True
        while True:
            try:
                refused = bool(self._members) and all(one.refused for one in self._members.values())
                self.update(await discover(refused))
                known = True
            except OSError as error:
                if known:
                    log.warning("the addresses of the engine workers cannot be asked for: %s", error)
                known = False
            await asyncio.sleep(DISCOVERY_S)

    async def stop(self) -> None:
        await end_tasks(*self._finishing, self._asking)
        for member in self._members.values():
            await member.link.stop()

    async def connections(self) -> list[Connection]:
        """Return the workers that accept exchanges, one at least, the least loaded one first.

        Raises EngineFailed where there is none for ``MAX_WAIT_S``.
        """
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                usable = await self._usable()
        except TimeoutError:
            raise EngineFailed(UNAVAILABLE, logged=True) from None
        # Each is the first of equals in turn.
        self._turn = (self._turn + 1) % len(usable)
        return sorted(usable[self._turn :] + usable[: self._turn], key=_load)

    async def _usable(self) -> list[Connection]:
        while not (usable := self._now_usable()):
            self._moved.clear()
            await self._moved.wait()
        return usable

    def _now_usable(self) -> list[Connection]:
        return [found for member in self._members.values() if (found := member.usable) is not None]

    def accept(self, served: Served) -> bool:
        """Return True if ``served`` is what the other workers have."""
        if self._first is None:
            self._first = served
        return _identity(served) == _identity(self._first)

    def moved(self) -> None:
        """Look at the workers anew: one was reached, lost or described."""
        usable = [member for member in self._members.values() if member.usable is not None]
        if usable:
            match usable[0].served:
                case EngineInfo() as engine:
                    slots = sum(member.slots for member in usable)
                    light = engine.light
                    if light is not None:
                        light = replace(light, slots=sum(member.light_slots for member in usable))
                    self._changed(Ready(replace(engine, max_concurrency=slots, light=light)))
                case RecognizerInfo() as recognizer:
                    self._changed(Ready(recognizer=recognizer))
        self._moved.set()

    def states(self) -> list[WorkerState]:
        return [member.state for member in self._members.values()]


_OTHER = (
    "recognises speech: name a worker that has an engine",
    "speaks: name a worker that has a recogniser",
)


class _Member:
    def __init__(self, address: str, key: str, pool: Pool) -> None:
        self._address = address
        self._pool = pool
        self._name = address
        connector = RemoteWorker(Address.parse(address), key, self._described)
        self.link = Link(connector, pool.moved)
        self.served: Served | None = None
        """Description of what it has; None before it is known, or if it is nothing that can be used."""
        self._refusal = ""

    def _wanted(self, ready: Ready) -> Served | None:
        return ready.recognizer if self._pool.recognizers else ready.engine

    @property
    def refused(self) -> bool:
        """True if it has nothing that can be used."""
        return bool(self._refusal)

    @property
    def reason(self) -> str:
        """Reason for which it cannot be used, as far as it is known."""
        return self._refusal or self.link.reason

    def _described(self, ready: Ready) -> None:
        self._name = ready.name or self._address
        self.served, self._refusal = self._wanted(ready), ""
        if self.served is None:
            self._refusal = f"{self._address} {_OTHER[self._pool.recognizers]}"
        elif not self._pool.accept(self.served):
            self.served = None
            kind = "recogniser" if self._pool.recognizers else "engine"
            self._refusal = f"the engine worker at {self._address} has another {kind} than the others"
            log.error("%s, and is not used", self._refusal)
        self._pool.moved()

    @property
    def usable(self) -> Connection | None:
        """The connection while the worker accepts segments."""
        return self.link.usable if self.served is not None else None

    @property
    def slots(self) -> int:
        """Segments that it speaks at once; 1 of a recogniser, which does not say."""
        return self.served.max_concurrency if isinstance(self.served, EngineInfo) else 1

    @property
    def light_slots(self) -> int:
        """Segments that its light networks speak at once."""
        light = self.served.light if isinstance(self.served, EngineInfo) else None
        return light.slots if light is not None else 0

    @property
    def state(self) -> WorkerState:
        connection = self.usable
        if connection is None:
            return WorkerState(self._name, slots=0, exchanges=0)
        return WorkerState(self._name, connection.slots, connection.open_exchanges)


def _report(asking: asyncio.Task[None]) -> None:
    if not asking.cancelled() and (error := asking.exception()) is not None:
        log.error("the addresses of the engine workers are asked for no more: %s", error, exc_info=error)


def _identity(served: Served) -> Served:
    """Return what has to be equal: slots, version and measured times of a worker may be others."""
    if isinstance(served, RecognizerInfo):
        # The sentence has a measured time.
        recordings_only = "yes" if served.recordings_only else ""
        return replace(served, version="", live_delay_s=None, recordings_only=recordings_only)
    light = replace(served.light, slots=0, always=False) if served.light is not None else None
    return replace(served, version="", max_concurrency=1, light=light)


def _load(connection: Connection) -> float:
    return connection.open_exchanges / connection.slots
