"""What agents write, spoken to everybody who listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from protocols.elevenlabs.relay.queue import UtteranceQueue
from protocols.elevenlabs.relay.settings import RelayState

MAX_BACKLOG_BYTES = 8 * 2**20
"""Bytes of messages that may wait for one listener, two minutes of audio; the messages are shared by all."""


HIGH_WATER_BYTES = 2**20
"""Bytes that may wait even for the quickest listener before more is spoken."""


class Subscriber:
    """One who listens: messages that wait for it, in order. taken: set whenever it takes one."""

    def __init__(self, taken: asyncio.Event) -> None:
        self._messages: deque[tuple[str, bool]] = deque()
        self._taken = taken
        self._readable = asyncio.Event()
        self.queued_bytes = 0
        """Bytes that wait."""
        self.overflowed = asyncio.Event()
        """Set once too much waits: it gets no more."""

    def push(self, message: str, last: bool) -> None:
        """Let a message wait for it."""
        if self.queued_bytes + len(message) > MAX_BACKLOG_BYTES:
            self._messages.clear()
            self.overflowed.set()
        if not self.overflowed.is_set():
            self._messages.append((message, last))
            self.queued_bytes += len(message)
            self._readable.set()

    async def get(self) -> tuple[str, bool]:
        """The next message, and whether it ends an utterance."""
        while not self._messages:
            self._readable.clear()
            await self._readable.wait()
        message, last = self._messages.popleft()
        self.queued_bytes -= len(message)
        self._taken.set()
        return message, last


class Broadcast:
    """One utterance at a time, whichever agent writes it, for all who listen.

    It waits for the quickest of them. Who does not keep up with that one is left behind.
    """

    def __init__(self, state: RelayState) -> None:
        self._listeners: set[Subscriber] = set()
        self._taken = asyncio.Event()
        self.queue = UtteranceQueue(state, asyncio.Lock())
        self._performing: asyncio.Task[None] | None = None

    def start(self) -> None:
        """See that somebody speaks. It goes on when its agents have gone, until all is said."""
        if self._performing is None or self._performing.done():
            self._performing = asyncio.create_task(self.queue.run(), name="relay broadcast")

    @contextmanager
    def subscribe(self) -> Iterator[Subscriber]:
        """Somebody listens while the body runs, from what comes next on."""
        listener = Subscriber(self._taken)
        self._listeners.add(listener)
        self._taken.set()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            self._taken.set()

    async def send(self, message: str, *, last: bool = False) -> None:
        """Send a message to all. last: whether it ends its utterance; then nobody is waited for."""
        while not last and min((one.queued_bytes for one in self._listeners), default=0) > HIGH_WATER_BYTES:
            self._taken.clear()
            await self._taken.wait()
        for listener in self._listeners:
            listener.push(message, last)
