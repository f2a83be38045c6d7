"""Broadcast of agents' utterances to all clients of the relay."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from kani.protocols.elevenlabs.relay.queue import RelayState, UtteranceQueue

MAX_BACKLOG_BYTES = 8 * 2**20
"""Bytes of messages that may wait for one subscriber: two minutes of audio, shared by all subscribers."""

HIGH_WATER_BYTES = 2**20
"""Bytes that may wait for the fastest subscriber before synthesis is paused."""


class Subscriber:
    """A client's queue of messages. consumed: an event that is set whenever it takes a message."""

    def __init__(self, consumed: asyncio.Event) -> None:
        self._messages: deque[tuple[str, bool]] = deque()
        self._consumed = consumed
        self._readable = asyncio.Event()
        self.queued_bytes = 0  # bytes of the messages in the queue
        self.overflowed = asyncio.Event()
        """Set once the queue has exceeded its limit; it takes no more messages then."""

    def push(self, message: str, last: bool) -> None:
        """Queue a message. last: whether it ends its utterance."""
        if self.queued_bytes + len(message) > MAX_BACKLOG_BYTES:
            self._messages.clear()
            self.overflowed.set()
        if not self.overflowed.is_set():
            self._messages.append((message, last))
            self.queued_bytes += len(message)
            self._readable.set()

    def clear(self) -> None:
        self._messages.clear()
        self.queued_bytes = 0
        self._consumed.set()

    async def get(self) -> tuple[str, bool]:
        """Wait for the next message; returns it and whether it ends its utterance."""
        while not self._messages:
            self._readable.clear()
            await self._readable.wait()
        message, last = self._messages.popleft()
        self.queued_bytes -= len(message)
        self._consumed.set()
        return message, last


class Broadcast:
    """Speaks the utterances of all agents, one at a time, to all subscribers.

    Synthesis is paced by the fastest subscriber. One that falls ``MAX_BACKLOG_BYTES`` behind overflows.
    """

    def __init__(self, state: RelayState) -> None:
        self._subscribers: set[Subscriber] = set()
        self._consumed = asyncio.Event()
        self.queue = UtteranceQueue(state, asyncio.Lock())
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run the queue, which continues after its agents have disconnected until all is spoken."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.queue.run(), name="relay broadcast")

    @contextmanager
    def subscribe(self) -> Iterator[Subscriber]:
        """Subscribe to the messages sent while the body runs."""
        subscriber = Subscriber(self._consumed)
        self._subscribers.add(subscriber)
        self._consumed.set()
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)
            self._consumed.set()

    async def send(self, message: str, *, last: bool = False) -> None:
        """Send a message to all subscribers, below the high-water mark of the fastest.

        last: whether it ends its utterance; such a message is sent without waiting.
        """
        while (
            not last and min((each.queued_bytes for each in self._subscribers), default=0) > HIGH_WATER_BYTES
        ):
            self._consumed.clear()
            await self._consumed.wait()
        for subscriber in self._subscribers:
            subscriber.push(message, last)

    async def stop(self, message: str, *, last: bool = True) -> None:
        """Send a message instead of all that subscribers have not been sent yet."""
        for subscriber in self._subscribers:
            subscriber.clear()
        await self.send(message, last=last)
