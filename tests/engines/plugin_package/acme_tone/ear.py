"""Recognises tones."""

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np

from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples

RATE = 16_000
STEP = round(STEP_S * RATE)


class Ear:
    """A ``Recognizer`` that hears one word in each tone; also a ``Transcriber``."""

    info = RecognizerInfo("acme_ear", "1.0", RATE, frozenset({"en"}))

    def __init__(self, word: str) -> None:
        self._word = word

    async def start(self) -> None:
        """Nothing is to be loaded."""

    async def stop(self) -> None:
        """Nothing is to be freed."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Yield a word at the end of each tone."""
        waiting = np.zeros(0, np.float32)
        index, began_s = 0, -1.0
        async for piece in audio:
            if isinstance(piece, Mark):
                yield piece
                continue
            waiting = np.concatenate([waiting, piece])
            while len(waiting) >= STEP:
                step, waiting = waiting[:STEP], waiting[STEP:]
                sounds = bool(np.abs(step).max() > 0.1)
                at_s = index * STEP_S
                if sounds and began_s < 0:
                    began_s = at_s
                if not sounds and began_s >= 0:
                    yield RecognizedWord(self._word, began_s, at_s)
                    began_s = -1.0
                yield Step(index, (0.0,) * 4 if sounds else (1.0,) * 4)
                index += 1
        if began_s >= 0:
            yield RecognizedWord(self._word, began_s, index * STEP_S)

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Yield a segment for each tone."""
        async for event in self.recognize(audio, options.language):
            if isinstance(event, RecognizedWord):
                times = event.start_s, event.end_s
                word = TranscribedWord(event.text, *times, 0.0)
                yield TranscribedSegment(f" {event.text}", *times, (word,), language="en")
