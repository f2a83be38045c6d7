"""The relay's queue of utterances, spoken one after another, and their broadcast to all its clients."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kani.core import request_ids
from kani.protocols.elevenlabs.relay.utterance import Utterance
from kani.protocols.shared.errors import BadMessage

MAX_QUEUED = 16
"""Utterances that wait for the end of the one being spoken."""

MAX_BACKLOG_BYTES = 8 * 2**20
"""Bytes of messages that may wait for one subscriber: two minutes of audio, shared by all subscribers."""

HIGH_WATER_BYTES = 2**20
"""Bytes that may wait for the fastest subscriber before synthesis is paused."""


@dataclass(slots=True)
class RelayState:
    """Counts of connections and of utterances being spoken."""

    clients: int = 0
    agents: int = 0
    active_utterances: int = 0

    def health_fields(self) -> dict[str, int | bool]:
        return {
            "flutter_clients": self.clients,
            "agent_connected": self.agents > 0,
            "is_streaming": self.active_utterances > 0,
        }


@dataclass(eq=False)
class UtteranceQueue:
    """A queue of utterances."""

    _state: RelayState
    _turn: asyncio.Lock  # of a client that several queues send to, held during an utterance
    _queued: deque[Utterance] = field(default_factory=deque)
    _added: asyncio.Event = field(default_factory=asyncio.Event)
    _current: Utterance | None = None
    _task: asyncio.Task[None] | None = None
    _count: int = 0

    def add(self, utterance: Utterance) -> None:
        """Queue an utterance. Raises BadMessage if the queue is full."""
        if len(self._queued) >= MAX_QUEUED:
            raise BadMessage(f"too many texts are waiting (at most {MAX_QUEUED})")
        self._queued.append(utterance)
        self._added.set()

    def stop(self) -> None:
        """Discard all utterances, the current one too: nothing more of them is sent."""
        for utterance in self._queued:
            utterance.discard()
        self._queued.clear()
        if self._current is not None and self._task is not None:
            self._current.discard()
            self._task.cancel()

    async def run(self) -> None:
        """Speak the queue until cancelled. Raises WebSocketDisconnect when a client has gone."""
        while True:
            self._added.clear()
            while self._queued:
                async with self._turn:
                    # ``stop`` may have emptied the queue while the lock was awaited.
                    if self._queued:
                        await self._speak(self._queued.popleft())
            await self._added.wait()

    async def _speak(self, utterance: Utterance) -> None:
        """Speak one utterance, in a task of its own, so that ``stop`` cancels nothing else."""
        self._count += 1
        self._state.active_utterances += 1
        with request_ids.bind(f"{request_ids.current()}-{self._count}"):
            task = asyncio.create_task(utterance.synthesize(), name="relay utterance")
        self._current, self._task = utterance, task
        try:
            await asyncio.wait([task])
        finally:
            self._current = self._task = None
            self._state.active_utterances -= 1
            task.cancel()
            await asyncio.wait([task])
            # Retrieved in any case: asyncio logs exceptions that are never retrieved.
            error = None if task.cancelled() else task.exception()
        if error is not None:
            raise error


@dataclass(eq=False)
class Subscriber:
    """A client's queue of messages."""

    _consumed: asyncio.Event  # set whenever it takes a message
    _messages: deque[tuple[str, bool]] = field(default_factory=deque)
    _readable: asyncio.Event = field(default_factory=asyncio.Event)
    queued_bytes: int = 0  # bytes of the messages in the queue
    overflowed: asyncio.Event = field(default_factory=asyncio.Event)
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

    Synthesis is paced by the fastest subscriber. One that lags by ``MAX_BACKLOG_BYTES`` overflows.
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
