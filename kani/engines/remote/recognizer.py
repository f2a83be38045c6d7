"""A recogniser that leaves its work to a worker, in another process or on another machine.

A recognition stays with its worker. When that is lost, one without an event so far is begun again, silently,
as long as its audio is still here: half a second, or what is sent ahead. Any other fails with ``EngineLost``,
after which a recording can be read again from its file.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Self

from kani.core.errors import EngineFailed, EngineLost
from kani.core.recognizer import Mark, PromptedRecognizer, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.remote import messages
from kani.engines.remote.connection import Connection, Exchange, WorkerFull, WorkerLost
from kani.engines.remote.unloading import ByWorkers
from kani.runtime.cancelling import end_tasks

MAX_UNREAD = 64
"""Events that wait for their reader, beyond which no more audio is sent: 5 s of steps."""

MAX_ATTEMPTS = 3
"""Workers that may be lost before they have sent an event of one recognition: its audio may be the cause."""

UNKNOWN = RecognizerInfo("remote", "", 16_000, frozenset())
"""Description of a recogniser before its worker is reached."""

Pieces = AsyncIterator[Samples | Mark] | AsyncIterator[Samples]


class RemoteRecognizer(ByWorkers, PromptedRecognizer):
    """See ``kani.core.recognizer.Recognizer``; also a ``Transcriber``."""

    def __init__(self, info: RecognizerInfo) -> None:
        """info: known before the worker has started; else ``UNKNOWN``. ``use`` comes before ``start``."""
        self._info = info

    def changed(self, ready: messages.Ready) -> None:
        if ready.recognizer is not None:
            self._info = ready.recognizer

    @property
    def info(self) -> RecognizerInfo:
        return self._info

    async def start(self) -> None:
        """Start the worker. Raises EngineUnavailable."""
        await self._workers.start()

    async def recognize_prompted(
        self,
        audio: AsyncIterator[Samples | Mark],
        language: str | None,
        prompt: str,
        *candidates: str,
        expected: str | None = None,
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``PromptedRecognizer``; the worker's recogniser may be none."""
        opening = partial(
            messages.Recognize, language=language, prompt=prompt, candidates=candidates, expected=expected
        )
        async with aclosing(self._events(opening, audio)) as replies:
            async for reply in replies:
                if isinstance(reply, messages.Recognized):
                    yield reply.unpack()

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        opening = partial(messages.Transcribe, options=options)
        async with aclosing(self._events(opening, audio)) as replies:
            async for reply in replies:
                if isinstance(reply, messages.Transcribed):
                    yield reply.segment

    async def _events(
        self, opening: Callable[[int], messages.ToWorker], audio: Pieces
    ) -> AsyncGenerator[messages.Recognized | messages.Transcribed, None]:
        async with aclosing(_RepeatableAudio(audio)) as repeatable:
            attempts = 0
            while True:
                connection = await self._connection()
                try:
                    async with aclosing(self._replies(connection, opening, repeatable)) as replies:
                        async for reply in replies:
                            yield reply
                    return
                except (WorkerFull, WorkerLost) as error:
                    attempts += 1
                    # A worker is full while it drains, and is not among the usable ones from then on.
                    if attempts == MAX_ATTEMPTS or not repeatable.rewind():
                        lost = f"the {self._info.name} recogniser was lost, and is started again: try again"
                        raise EngineLost(lost, logged=True) from error

    async def _connection(self) -> Connection:
        """Return the connection to the worker with the fewest recognitions. Raises EngineLost without any."""
        try:
            return (await self._workers.connections())[0]
        except EngineFailed as error:
            raise EngineLost(str(error), logged=True) from error

    async def _replies(
        self, connection: Connection, opening: Callable[[int], messages.ToWorker], audio: _RepeatableAudio
    ) -> AsyncGenerator[messages.Recognized | messages.Transcribed, None]:
        async with connection.exchange(opening) as exchange:
            sending = _Sending(exchange, audio, self._info.sample_rate)
            try:
                while (reply := await sending.reply()) is not None:
                    yield reply
            finally:
                await sending.aclose()


class _RepeatableAudio:
    """Iterates over the audio of one recognition, from its beginning again after ``rewind``."""

    def __init__(self, audio: Pieces) -> None:
        self._audio = audio
        self._kept: list[Samples | Mark] = []
        self._position = 0
        self._repeatable = True
        self._next: asyncio.Task[Samples | Mark | None] | None = None

    def forget(self) -> None:
        """Keep nothing that was read; ``rewind`` is not possible from now on."""
        del self._kept[: self._position]
        self._position = 0
        self._repeatable = False

    def rewind(self) -> bool:
        """Begin again; return False if that is not possible."""
        self._position = 0
        return self._repeatable

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Samples | Mark:
        """Return the next piece. Raises StopAsyncIteration, and what the audio raises."""
        if self._position < len(self._kept):
            if not self._repeatable:
                return self._kept.pop(0)
            self._position += 1
            return self._kept[self._position - 1]
        if self._next is None:
            if not self._repeatable:
                return await anext(self._audio)
            self._next = asyncio.create_task(self._read())
        # A cancelled reader must not end the audio for the next one.
        await asyncio.wait([self._next])
        piece = self._next.result()
        if piece is None:
            raise StopAsyncIteration
        self._next = None
        if self._repeatable:
            self._kept.append(piece)
            self._position += 1
        return piece

    async def _read(self) -> Samples | Mark | None:
        return await anext(self._audio, None)

    async def aclose(self) -> None:
        await end_tasks(self._next)


class _Sending:
    """Sends the audio of one exchange, within the worker's grant and no further than its events are read."""

    def __init__(self, exchange: Exchange, audio: _RepeatableAudio, rate: int) -> None:
        self._exchange = exchange
        self._audio = audio
        self._rate = rate
        self._granted_s = messages.AUDIO_AHEAD_S
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="audio for the recogniser")
        # An error of the audio itself ends the wait for a reply, too.
        self._task.add_done_callback(lambda _: exchange.wake())

    async def reply(self) -> messages.Recognized | messages.Transcribed | None:
        """Return the next event, None at the end. Raises what the audio raises."""
        while True:
            reply = await self._exchange.get(self._check)
            # Also by a grant, which comes once half a second was pulled: only what is sent ahead is kept.
            self._audio.forget()
            self._moved.set()
            match reply:
                case messages.Grant():
                    self._granted_s = reply.seconds
                case messages.Recognized() | messages.Transcribed() | None:
                    return reply

    def _check(self) -> None:
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def aclose(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        sent_s = 0.0
        async for piece in self._audio:
            while sent_s >= self._granted_s or self._exchange.unread > MAX_UNREAD:
                self._moved.clear()
                await self._moved.wait()
            if isinstance(piece, Mark):
                self._exchange.send(messages.Audio(self._exchange.number, mark=piece.number))
            else:
                sent_s += len(piece) / self._rate
                self._exchange.send(messages.Audio(self._exchange.number, messages.pack_samples(piece)))
        self._exchange.send(messages.Ended(self._exchange.number))
