"""A recogniser as on a slow machine: the real streams and passes, and a model that answers when it may."""

import itertools
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial

import numpy as np

from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizerInfo, Step
from kani.core.types import Samples
from kani.runtime.recognition.live import recognize_live
from kani.runtime.recognition.passes import PassInput, PassResult
from kani.runtime.recognition.scheduler import PassScheduler
from kani.runtime.recognition.stream import RecognitionStream
from kani.runtime.voice_detector import SAMPLE_RATE
from tests.runtime.recognition.test_stream import WORD_S, ScriptedVoice, transcribe
from tests.support.patience import happens


class SlowRecognizer:
    """Hears "w1", "w2", … in ``words``, each pass once ``decide`` is set."""

    def __init__(self) -> None:
        self.info = RecognizerInfo("slow", "1", SAMPLE_RATE, frozenset({"en"}))
        self.decide = threading.Event()
        self._steps = self._due = 0
        self._scheduler: PassScheduler[PassResult] = PassScheduler(1)

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.decide.set()
        await self._scheduler.stop()

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        # By this clock all audio is live.
        clock = itertools.count().__next__
        stream = RecognitionStream(ScriptedVoice(), language or "en", clock)  # type: ignore[arg-type]
        queued = self._scheduler.add_stream(lambda: partial(self._answer, stream.begin_pass()))
        async with aclosing(recognize_live(stream, queued, audio)) as events:
            async for event in events:
                self._steps += isinstance(event, Step)
                yield event

    async def hears(self, seconds: float) -> None:
        """Wait for the steps of audio, further ones for each call."""
        self._due += int(seconds / STEP_S)
        await happens(lambda: self._steps >= self._due)

    def _answer(self, audio: PassInput) -> PassResult:
        self.decide.wait()
        return transcribe(audio)


def words(first: int, last: int) -> Samples:
    """Return the sound of some words, at ``SAMPLE_RATE``."""
    return np.repeat(np.arange(first, last + 1, dtype=np.float32) / 100, round(WORD_S * SAMPLE_RATE))
