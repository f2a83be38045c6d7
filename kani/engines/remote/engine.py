"""An engine that leaves its work to a worker, in another process or on another machine.

When its worker is lost, a segment without audio so far is begun again, silently; one with some fails, as
another rendering of it would not continue the first.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Container
from contextlib import aclosing
from weakref import ref

from kani.core.engine import Described
from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.recent import Recent
from kani.core.types import Embedding, Recording, Segment, SpeechChunk
from kani.engines.remote import messages
from kani.engines.remote.connection import Connection, Exchange, WorkerFull, WorkerLost
from kani.engines.remote.unloading import ByWorkers
from kani_text.incremental_text import IncrementalText

AHEAD_S, RENEWED_S = 3.0, 1.0
"""Seconds of audio that a worker may be ahead of what was taken of a segment, one chunk more at most; and the
seconds left at which it is granted as many again."""

MAX_ATTEMPTS = 3
"""Workers that may be lost while they work on one segment: its text may be what crashes them."""

MAX_SESSIONS = 1024
"""Sessions that have their last worker remembered."""


class RemoteEngine(Described, ByWorkers):
    """See ``kani.core.engine.Engine``; it accepts partial text and clones where the worker's engine does."""

    def __init__(self, name: str) -> None:
        """name: for messages, until the worker has described its engine. ``use`` comes before ``start``."""
        self.name = name
        self._last: Recent[str, ref[Connection]] = Recent(MAX_SESSIONS)

    def changed(self, ready: messages.Ready) -> None:
        if ready.engine is not None:
            self._info = ready.engine

    async def start(self) -> None:
        """Start or reach the worker. Raises EngineUnavailable."""
        await self._workers.start()
        if self._info is None:
            await self._workers.stop()
            raise EngineUnavailable("the worker recognises speech: name a worker that has an engine")

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        return self._speak(segment, None)

    def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        return self._speak(segment, written)

    async def _speak(
        self, segment: Segment, text: IncrementalText | None
    ) -> AsyncGenerator[SpeechChunk, None]:
        attempts = 0
        full: set[Connection] = set()
        # A recording's voice is every worker's.
        session = segment.session if segment.embedding is None else ""
        while True:
            connection, waits = await self._choose(full, session)
            audible = False
            try:
                async with aclosing(_chunks(connection, segment, text, waits=waits)) as chunks:
                    async for chunk in chunks:
                        if not audible:
                            self._remember(session, connection)
                        audible = True
                        yield chunk
                return
            except WorkerFull:
                full.add(connection)
            except WorkerLost as error:
                attempts += error.suspect
                if audible or attempts == MAX_ATTEMPTS:
                    raise EngineFailed(f"the {self.info.name} engine was lost", logged=True) from error

    def _remember(self, session: str, connection: Connection) -> None:
        """Let a session's next segments go to the worker that speaks this one, if it keeps their voice."""
        if session and self.info.voice_rules.kept:
            self._last.keep(session, ref(connection))

    async def _choose(self, full: Container[Connection], session: str = "") -> tuple[Connection, bool]:
        """Return the worker for a segment or a recording, and whether it waits there for a slot: when all
        workers are full.

        full: those that had no slot for it, or accept nothing more; session: that of the segment.
        """
        connections = await self._workers.connections()
        if (known := self._last.get(session)) is not None:
            last = known()
            connections.sort(key=lambda each: each is not last)
        with_slot = [each for each in connections if each not in full]
        if not with_slot or len(connections) == 1:
            return connections[0], True
        return with_slot[0], False

    async def embed(self, recording: Recording) -> Embedding:
        async with aclosing(self._embeddings(lambda number: messages.Embed(number, recording))) as embeddings:
            async for embedding in embeddings:
                return embedding
        raise EngineFailed(f"the {self.info.name} engine gave no embedding")

    def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        return self._embeddings(lambda number: messages.Refine(number, recording, embedding, language))

    async def _embeddings(
        self, opening: Callable[[int], messages.ToWorker]
    ) -> AsyncGenerator[Embedding, None]:
        full: set[Connection] = set()
        while True:
            connection, _ = await self._choose(full)
            try:
                async with connection.exchange(opening) as exchange:
                    while isinstance(reply := await exchange.get(), messages.Embedded):
                        yield reply.embedding
                return
            except WorkerFull:
                full.add(connection)
            except WorkerLost as error:
                raise EngineFailed(f"the {self.info.name} engine was lost", logged=True) from error


async def _chunks(
    connection: Connection, segment: Segment, text: IncrementalText | None, *, waits: bool
) -> AsyncGenerator[SpeechChunk, None]:
    """Speak a segment by one worker. Raises WorkerFull, WorkerLost, and the engine's errors."""
    granted_s, taken_s = AHEAD_S, 0.0
    written = None if text is None else _state(text)
    async with connection.exchange(
        lambda number: messages.Speak(number, segment, granted_s, written, waits)
    ) as exchange:
        exchange.granted_s = granted_s
        exchange.characters = len(segment.text if written is None else written.text)
        feeding = None if text is None else _Feeding(exchange, text, written)
        try:
            while (reply := await exchange.get()) is not None:
                match reply:
                    case SpeechChunk():
                        yield reply
                        # The reader took it: it is back for more.
                        taken_s += reply.duration_s
                        if granted_s - taken_s <= RENEWED_S:
                            exchange.granted_s = granted_s = taken_s + AHEAD_S
                            exchange.send(messages.Grant(exchange.number, granted_s))
                    case messages.Waiting() if text is not None and feeding is not None:
                        await text.wait_for_more(reply.known, reply.timeout_s)
                        feeding.update()
                        exchange.send(messages.Resume(exchange.number))
        finally:
            if feeding is not None:
                feeding.close()


class _Feeding:
    """Sends a growing text to the worker, at most once in a turn of the event loop."""

    def __init__(self, exchange: Exchange, text: IncrementalText, sent: messages.Written | None) -> None:
        self._exchange = exchange
        self._text = text
        self._sent = sent
        self._due: asyncio.Handle | None = None
        text.changed = self._schedule

    def close(self) -> None:
        self._text.changed = None
        if self._due is not None:
            self._due.cancel()

    def _schedule(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_soon(self.update)

    def update(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if (written := _state(self._text)) != self._sent:
            self._sent = written
            # A text that has become shorter may be known to the worker as it was.
            self._exchange.characters = max(self._exchange.characters, len(written.text))
            self._exchange.send(messages.Feed(self._exchange.number, written))


def _state(text: IncrementalText) -> messages.Written:
    return messages.Written(text.text, text.spoken.pronunciations, text.boundary)
