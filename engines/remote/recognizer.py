"""A recogniser whose work is done by a worker in another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress

from engines.remote.connection import Exchange, WorkerFull, WorkerLost
from engines.remote.link import Way
from engines.remote.messages import (
    AUDIO_AHEAD_S,
    Audio,
    Ended,
    Grant,
    Ready,
    Recognize,
    Recognized,
    ToWorker,
    Transcribe,
    Transcribed,
    pack_samples,
)
from speech.errors import EngineFailed
from speech.recognizer import Mark, RecognitionEvent, RecognizerInfo
from speech.transcriber import TranscribedSegment, TranscriptionOptions
from speech.types import Samples

MAX_UNREAD = 64
"""Events that wait for their reader, beyond which no more audio is sent: 5 s of steps."""

Pieces = AsyncIterator[Samples | Mark] | AsyncIterator[Samples]


class RemoteRecognizer:
    """See ``speech.recognizer.Recognizer``; also a ``Transcriber``."""

    def __init__(self, info: RecognizerInfo) -> None:
        """info: known before the worker has started. ``use`` comes before ``start``."""
        self._info = info
        self._link: Way | None = None

    def use(self, link: Way) -> None:
        """Work by ``link``, whose descriptions come to ``changed``."""
        self._link = link

    def changed(self, ready: Ready) -> None:
        """Accept the description of the worker's recogniser."""
        if ready.recognizer is not None:
            self._info = ready.recognizer

    @property
    def info(self) -> RecognizerInfo:
        """See ``Recognizer.info``."""
        return self._info

    @property
    def _way(self) -> Way:
        assert self._link is not None
        return self._link

    async def start(self) -> None:
        """Start the worker. Raises EngineUnavailable."""
        await self._way.start()

    async def stop(self) -> None:
        """See ``Recognizer.stop``."""
        await self._way.stop()

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``Recognizer.recognize``."""
        async with aclosing(self._replies(lambda number: Recognize(number, language), audio)) as replies:
            async for reply in replies:
                if isinstance(reply, Recognized):
                    yield reply.unpack()

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """See ``Transcriber.transcribe``."""
        async with aclosing(self._replies(lambda number: Transcribe(number, options), audio)) as replies:
            async for reply in replies:
                if isinstance(reply, Transcribed):
                    yield reply.segment

    async def _replies(
        self, opening: Callable[[int], ToWorker], audio: Pieces
    ) -> AsyncGenerator[Recognized | Transcribed, None]:
        try:
            connection = (await self._way.connections())[0]
            async with connection.exchange(opening) as exchange:
                sending = _Sending(exchange, audio, self._info.sample_rate)
                try:
                    while (reply := await sending.reply()) is not None:
                        yield reply
                finally:
                    await sending.aclose()
        except (WorkerFull, WorkerLost) as error:
            raise EngineFailed(f"the {self._info.name} recogniser was lost", logged=True) from error


class _Sending:
    """Sends the audio of one exchange, within the worker's grant and no further than its events are read."""

    def __init__(self, exchange: Exchange, audio: Pieces, rate: int) -> None:
        self._exchange = exchange
        self._audio = audio
        self._rate = rate
        self._granted_s = AUDIO_AHEAD_S
        self._moved = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name="audio for the recogniser")
        # An error of the audio itself ends the wait for a reply, too.
        self._task.add_done_callback(lambda _: exchange.wake())

    async def reply(self) -> Recognized | Transcribed | None:
        """Return the next event, None at the end. Raises what the audio raises."""
        while True:
            reply = await self._exchange.get(self._check)
            self._moved.set()
            match reply:
                case Grant():
                    self._granted_s = reply.seconds
                case Recognized() | Transcribed() | None:
                    return reply

    def _check(self) -> None:
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def aclose(self) -> None:
        """Send nothing any more."""
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
                self._exchange.send(Audio(self._exchange.number, mark=piece.number))
            else:
                sent_s += len(piece) / self._rate
                self._exchange.send(Audio(self._exchange.number, pack_samples(piece)))
        self._exchange.send(Ended(self._exchange.number))
