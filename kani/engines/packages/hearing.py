"""The worker's end of recognition: an adapter as a recogniser."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager

import numpy as np

from kani.core.errors import Busy
from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.packages.hosting import Adapted

UNKNOWN_PAUSES = (-1.0, -1.0, -1.0, -1.0)
"""Probabilities of pauses in a ``Step`` of a package that tells none."""

WAIT_S = 10.0
"""Seconds that a stream or a recording waits for a place."""


class HeardPackage(Adapted[RecognizerInfo]):
    """A maker's package as a recogniser, in the worker's process.

    Its ``Step``s have neither voices nor marks, which the server knows; ``settled`` is False within a word.
    ``transcribe`` hears one stretch, or, of a package with only live sessions, yields words one by one. Both
    raise Busy where no place becomes free.
    """

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        await super().start()
        streams = int(self.adapter.streams)
        self._places = asyncio.Semaphore(streams)
        if streams > 1:
            self._threads.shutdown(wait=False)
            self._threads = ThreadPoolExecutor(streams, thread_name_prefix=self._name)

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async with aclosing(self._live(audio, language)) as events:
            async for event in events:
                if isinstance(event, Step):
                    yield event
                else:
                    yield RecognizedWord(event.text, event.start_s, event.end_s)

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        if not hasattr(self.adapter, "hear"):
            async with aclosing(self._live(audio, options.language)) as events:
                async for word in events:
                    if not isinstance(word, Step):
                        yield TranscribedSegment(word.text, word.start_s, word.end_s, (word,))
            return
        samples = np.concatenate([np.zeros(0, np.float32), *[piece async for piece in audio]])
        stopped = threading.Event()
        async with self._place():
            for segment in await self.call(self.adapter.hear, samples, options, stopped, stopped=stopped):
                yield segment

    async def _live(
        self, audio: AsyncIterator[Samples | Mark] | AsyncIterator[Samples], language: str | None
    ) -> AsyncGenerator[TranscribedWord | Step, None]:
        """Yield what a live session hears in audio that comes by whole steps; silence fills up the last."""
        index, size = 0, round(STEP_S * self.info.sample_rate)
        async with self._place():
            session = await self.call(self.adapter.listen, language)
            try:
                async for piece in audio:
                    if isinstance(piece, Mark):
                        continue
                    for word in await self.call(session.feed, np.pad(piece, (0, size - len(piece)))):
                        yield word
                    yield Step(index, session.pauses or UNKNOWN_PAUSES, settled=not session.pending)
                    index += 1
                for word in await self.call(session.finish):
                    yield word
            finally:
                await self.call(session.close)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise Busy(f"the recogniser {self.info.name} hears as many streams as it can") from None
        try:
            yield
        finally:
            self._places.release()
