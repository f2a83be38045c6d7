"""What agents write, spoken to everybody who listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from dialects.elevenlabs.relay_performance import Performance
from dialects.elevenlabs.relay_settings import RelayState

MOST_BEHIND = 8 * 2**20
"""Bytes of messages that may wait for one listener, two minutes of audio; the messages are shared by all."""


class Listener:
    """One who listens: messages that wait for it, in order."""

    def __init__(self) -> None:
        self._messages: deque[tuple[str, bool]] = deque()
        self._bytes = 0
        self._readable = asyncio.Event()
        self.behind = asyncio.Event()
        """Set once too much waits: it gets no more."""

    def offer(self, message: str, last: bool) -> None:
        """Let a message wait for it."""
        if self._bytes + len(message) > MOST_BEHIND:
            self._messages.clear()
            self.behind.set()
        if not self.behind.is_set():
            self._messages.append((message, last))
            self._bytes += len(message)
            self._readable.set()

    async def get(self) -> tuple[str, bool]:
        """The next message, and whether it ends an utterance."""
        while not self._messages:
            self._readable.clear()
            await self._readable.wait()
        message, last = self._messages.popleft()
        self._bytes -= len(message)
        return message, last


class Broadcast:
    """One utterance at a time, whichever agent writes it, for all who listen.

    It does not wait for a listener: who does not keep up is left behind.
    """

    def __init__(self, state: RelayState) -> None:
        self._listeners: set[Listener] = set()
        self.performance = Performance(state, asyncio.Lock())
        self._performing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """See that somebody speaks. It goes on when its agents have gone, until all is said."""
        if self._performing is None or self._performing.done():
            self._performing = asyncio.create_task(self.performance.run(), name="relay broadcast")

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Somebody listens while the body runs, from what comes next on."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def send(self, message: str, *, last: bool = False) -> None:
        """Send a message to all. last: whether it ends its utterance."""
        for listener in self._listeners:
            listener.offer(message, last)
