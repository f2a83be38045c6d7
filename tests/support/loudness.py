"""A tiny recogniser: every loud step of the audio is the word "bum"."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np

from speech.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from speech.types import Samples

RATE = 16_000
STEP = round(STEP_S * RATE)
LOUD = 0.25


class LoudnessRecognizer:
    def __init__(self) -> None:
        self.info = RecognizerInfo("loudness", "1", RATE, frozenset({"es", "en"}))

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        waiting, index = np.zeros(0, np.float32), 0
        async for piece in audio:
            if isinstance(piece, Mark):
                yield piece
                continue
            waiting = np.concatenate([waiting, piece])
            while len(waiting) >= STEP:
                step, waiting = waiting[:STEP], waiting[STEP:]
                if np.abs(step).mean() > LOUD:
                    yield RecognizedWord("bum", index * STEP_S, (index + 1) * STEP_S)
                yield Step(index, (1.0, 1.0, 1.0, 1.0))
                index += 1
