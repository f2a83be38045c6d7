"""The server's end of a connection to a worker: many exchanges at once, each with the messages for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import count

from kani.core.errors import EngineUnavailable
from kani.core.types import JOINED_S, SpeechChunk
from kani.engines.remote import messages
from kani.engines.remote.channel import MAX_FRAME_BYTES, Channel, ProtocolError
from kani.engines.remote.checks import MAX_NAME_CHARACTERS, check, log_text, one_line
from kani.engines.remote.handshake import greet
from kani_text.foreign import Unreadable

START_LEASE_S = 90
"""Silent seconds after which a child that loads its model counts as dead: imports may hold up its loop."""

READY_TIMEOUT_S = 10.0
"""Most seconds for a worker that listens, and so has started its engine, to describe it."""

MAX_CHUNKS_PER_S = 1000
"""Most chunks for each second of speech that was granted: a worker joins short ones."""

MAX_ANSWER_BYTES = 2 << 20
"""Longest message of a worker but for speech: an embedding has 800 KB, and others are slower to read."""

MAX_UNREAD_BYTES = 2 * MAX_FRAME_BYTES
"""Most bytes of the replies of one exchange that wait for their reader: the grants bound them long before."""

REPLY_BYTES = 512
"""Bytes of a reply besides its message."""

Reply = SpeechChunk | messages.Reply


class WorkerLost(Exception):
    """The connection to the worker has ended; the message says why.

    ``suspect``: whether the exchange may be the cause: the worker worked on it.
    """

    def __init__(self, reason: str, *, suspect: bool = False) -> None:
        super().__init__(reason)
        self.suspect = suspect


class WorkerFull(Exception):
    """The worker has no slot for an exchange that does not wait, or accepts no more of them."""


class Exchange:
    """One call of the engine. One reader."""

    def __init__(self, number: int, connection: Connection) -> None:
        self.number = number
        self._connection = connection
        self._replies: deque[tuple[Reply, int]] = deque()
        self._unread_bytes = 0
        self._received_s, self._chunks = 0.0, 0
        self.granted_s = 0.0  # seconds of speech that the worker may have sent, one chunk more at most
        self.characters = 0  # characters of the text, as far as the worker has it
        self._end: messages.Outcome | None = None
        self._changed = asyncio.Event()
        self.suspect = False  # True if the worker was lost while it worked on this exchange

    def receive(self, message: Reply | messages.Outcome, size: int) -> None:
        """Accept a message of the worker, of ``size`` bytes. Raises ProtocolError."""
        if isinstance(message, messages.Outcome):
            self._end = message
        else:
            if isinstance(message, SpeechChunk):
                self._check_speech(message)
            self._unread_bytes += size + REPLY_BYTES
            if self._unread_bytes > MAX_UNREAD_BYTES:
                raise ProtocolError(f"more than {MAX_UNREAD_BYTES >> 20} MiB that nothing has asked for")
            self._replies.append((message, size + REPLY_BYTES))
        self._changed.set()

    def _check_speech(self, chunk: SpeechChunk) -> None:
        if self._received_s >= self.granted_s:
            raise ProtocolError(f"more speech than the {self.granted_s:g} s that were granted")
        self._received_s += chunk.duration_s
        self._chunks += 1
        if self._chunks > MAX_CHUNKS_PER_S * self.granted_s + self.characters:
            raise ProtocolError(f"more chunks than {MAX_CHUNKS_PER_S:,} for each second that was granted")
        if any(span.end > self.characters for span in chunk.spans):
            raise ProtocolError(f"a span beyond the {self.characters} characters of its text")

    def wake(self) -> None:
        """Wake the reader, to look for the end of the connection or of its own work."""
        self._changed.set()

    def send(self, message: messages.ToWorker) -> None:
        self._connection.channel.send(message)

    @property
    def unread(self) -> int:
        return len(self._replies)

    async def get(self, check: Callable[[], None] | None = None) -> Reply | None:
        """Return the next reply, chunks that wait as one; None at the end.

        check: called after each ``wake``; may raise. Raises the worker's error after the replies before it,
        WorkerFull and WorkerLost.
        """
        while not self._replies:
            match self._end:
                case messages.Failed():
                    raise self._end.error()
                case messages.Full():
                    raise WorkerFull
                case messages.Ended():
                    return None
            self._connection.check(suspect=self.suspect)
            if check is not None:
                check()
            self._changed.clear()
            await self._changed.wait()
        reply = self._take()
        if not isinstance(reply, SpeechChunk):
            return reply
        pieces, left_s = [reply], JOINED_S - reply.duration_s
        while self._replies and isinstance(following := self._replies[0][0], SpeechChunk):
            if (left_s := left_s - following.duration_s) < 0:
                break
            pieces.append(following)
            self._take()
        return SpeechChunk.joined(pieces)

    def _take(self) -> Reply:
        reply, size = self._replies.popleft()
        self._unread_bytes -= size
        return reply

    async def cancel(self) -> None:
        """Stop the work; returns once the worker is free, however often the task is cancelled meanwhile."""
        cancelled = False
        self._replies.clear()
        self._unread_bytes = 0
        if self._end is None:
            self.send(messages.Cancel(self.number))
        while self._end is None and not self._connection.channel.lost.is_set():
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError


class Connection:
    """A worker that is ready."""

    def __init__(self, channel: Channel, changed: Callable[[messages.Ready], None], logger: str) -> None:
        """changed: called when the worker is ready, and with every change of its description."""
        self.channel = channel
        self._changed = changed
        self._logger = logger
        self._numbers = count(1)
        self._exchanges: dict[int, Exchange] = {}
        self.idle = asyncio.Event()  # set while no exchange is open
        self.idle.set()
        self._is_child = False
        self._sample_rate = 0
        self.slots = 1
        self.draining = False  # True if the worker accepts no more exchanges
        self.completed = 0  # exchanges that the worker has brought to their end
        self._ready = asyncio.Event()
        self._unavailable: EngineUnavailable | None = None

    async def open(self, key: str, launch: messages.Launch | None) -> None:
        """Shake hands and wait until the engine has started.

        launch: for a worker that is a child. Raises EngineUnavailable with the worker's reason, and
        WorkerLost.
        """
        try:
            await greet(self.channel, key)
        except ProtocolError as error:
            self.channel.abort(str(error))
            raise WorkerLost(str(error)) from error
        if launch is not None:
            self._is_child = True
            self.channel.send(launch)
        self.channel.receive(self._receive)
        self.channel.when_lost(self._lost)
        self.check()
        if launch is not None:
            self.channel.watch(lease_s=START_LEASE_S)
        try:
            # A child loads its model now, or downloads it first: that has no limit, as in this process, while
            # it gives signs of life. Not wait_for, which in Python 3.11 swallows a cancellation that comes
            # together with the description.
            async with asyncio.timeout(READY_TIMEOUT_S if launch is None else None):
                await self._ready.wait()
        except TimeoutError:
            raise WorkerLost(f"the worker was not ready in {READY_TIMEOUT_S:g} s") from None
        if self._unavailable is not None:
            raise self._unavailable
        self.check()
        self.channel.watch(lambda: self.channel.send(messages.Ping()))

    def _lost(self) -> None:
        self._ready.set()
        for position, exchange in enumerate(self._exchanges.values()):
            # The worker's slots are taken in the order of asking; the others wait there.
            exchange.suspect = position < self.slots
            exchange.wake()

    @property
    def open_exchanges(self) -> int:
        return len(self._exchanges)

    def check(self, *, suspect: bool = False) -> None:
        """Raise WorkerLost if the connection has ended; suspect: as it has it."""
        if self.channel.lost.is_set():
            raise WorkerLost(self.channel.reason, suspect=suspect)

    @asynccontextmanager
    async def exchange(self, opening: Callable[[int], messages.ToWorker]) -> AsyncGenerator[Exchange, None]:
        """Open an exchange by the message that ``opening`` makes of its number; cancel it at the end.

        Raises WorkerLost.
        """
        self.check()
        number = next(self._numbers)
        exchange = self._exchanges[number] = Exchange(number, self)
        self.idle.clear()
        try:
            self.channel.send(opening(number))
            try:
                yield exchange
            finally:
                await exchange.cancel()
        finally:
            del self._exchanges[number]
            if not self._exchanges:
                self.idle.set()

    def _receive(self, frame: memoryview) -> None:
        # The tag is the second byte of the array.
        if len(frame) > MAX_ANSWER_BYTES and frame[1] != messages.Chunk.__struct_config__.tag:
            raise ProtocolError(
                f"a message of {len(frame)} bytes (at most {MAX_ANSWER_BYTES} but for speech)"
            )
        try:
            message = messages.decode_from_worker(frame)
        except Unreadable as error:
            raise ProtocolError(f"a message that cannot be read ({error})") from error
        check(message)
        match message:
            case messages.Ready():
                if message.engine is not None:
                    self.slots, self._sample_rate = message.engine.max_concurrency, message.engine.sample_rate
                self.draining = message.draining
                self._changed(message)
                self._ready.set()
            case messages.Unavailable() | messages.Logged() if not self._is_child:
                raise ProtocolError(f"{type(message).__name__}, which only a child of this process sends")
            case messages.Unavailable():
                self._unavailable = EngineUnavailable(message.reason, passing=message.passing)
                self._ready.set()
            case messages.Logged():
                self._log(message)
            case messages.Pong():
                pass
            case _:
                self.completed += isinstance(message, messages.Ended)
                if (exchange := self._exchanges.get(message.exchange)) is not None:
                    exchange.receive(self._unpacked(message), len(frame))

    def _unpacked(self, message: messages.Answer) -> Reply | messages.Outcome:
        if isinstance(message, messages.Failed):
            message.message = one_line(message.message)
            message.field = one_line(message.field, MAX_NAME_CHARACTERS)
        if not isinstance(message, messages.Chunk):
            return message
        if message.sample_rate != self._sample_rate:
            rates = f"{message.sample_rate} Hz of an engine of {self._sample_rate} Hz"
            raise ProtocolError(f"a chunk of {rates}")
        # The frame that holds the samples is overwritten after this call.
        return message.unpack()

    def _log(self, message: messages.Logged) -> None:
        name = one_line(message.logger, MAX_NAME_CHARACTERS)
        logger = logging.getLogger(name)
        if logger.isEnabledFor(message.level):
            text = log_text(message.message)
            record = logger.makeRecord(name, message.level, self._logger, 0, text, (), None)
            record.request = one_line(message.request_id, MAX_NAME_CHARACTERS)
            logger.handle(record)
