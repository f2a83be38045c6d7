"""Recognises tones."""

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np

from kani.core.recognizer import Mark, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples

RATE = 16_000


class Ear:
    """A ``Recognizer`` that hears one word in recordings with tones; also a ``Transcriber``."""

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
        """Hear no words in live speech."""
        async for piece in audio:
            if isinstance(piece, Mark):
                yield piece

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Yield a segment with the word if anything is to be heard."""
        samples = np.concatenate([piece async for piece in audio])
        if np.abs(samples).max() > 0.1:
            word = TranscribedWord(self._word, 0.0, len(samples) / RATE, 0.0)
            yield TranscribedSegment(f" {self._word}", word.start_s, word.end_s, (word,), language="en")
