"""A tiny recogniser: every loud step of the audio is the word "bum"; in recordings every loud second."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np

from speech.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from speech.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from speech.types import Samples

RATE = 16_000
STEP = round(STEP_S * RATE)
LOUD = 0.25


class LoudnessRecognizer:
    def __init__(self) -> None:
        self.info = RecognizerInfo("loudness", "1", RATE, frozenset({"es", "en"}))
        self.options = TranscriptionOptions()  # of the last recording

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

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        self.options = options
        word = "boom" if options.translate else "bum"
        second, waiting = 0, np.zeros(0, np.float32)
        async for piece in audio:
            waiting = np.concatenate([waiting, piece])
            while len(waiting) >= RATE:
                samples, waiting = waiting[:RATE], waiting[RATE:]
                if np.abs(samples).mean() > LOUD:
                    yield _segment(word, second, options)
                second += 1


def _segment(word: str, second: int, options: TranscriptionOptions) -> TranscribedSegment:
    words = tuple(
        TranscribedWord(text, second + start, second + start + 0.5, -0.25)
        for text, start in ((f"¡{word},", 0.0), ("hm.", 0.5))
    )
    return TranscribedSegment(
        text=f" ¡{word}, hm.",
        start_s=float(second),
        end_s=second + 1.0,
        words=words,
        tokens=(7, 8),
        seek_s=float(second),
        temperature=options.temperature,
        log_probability=-0.25,
        compression_ratio=1.0,
        no_speech_probability=0.125,
        language=options.language or "es",
        language_probability=1.0 if options.language else 0.75,
    )
