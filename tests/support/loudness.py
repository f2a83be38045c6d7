"""Tiny recognisers: every loud step of the audio is a word, in recordings every loud second."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np

from kani.core.errors import EngineFailed
from kani.core.recognizer import (
    PAUSE_LENGTHS_S,
    STEP_S,
    VOICE_CHUNK_S,
    Mark,
    RecognitionEvent,
    RecognizedWord,
    RecognizerInfo,
    Step,
)
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples

RATE = 16_000
STEP = round(STEP_S * RATE)
CHUNK = round(VOICE_CHUNK_S * RATE)
LOUD = 0.25


class LoudnessRecognizer:
    """Hears "bum"."""

    def __init__(self) -> None:
        self.info = RecognizerInfo("loudness", "1", RATE, frozenset({"es", "en"}))
        self.options = TranscriptionOptions()  # of the last recording
        self.prompts: list[str] = []  # of the recognitions that had one
        self.expected: list[str | None] = []  # of the same

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def recognize_prompted(
        self,
        audio: AsyncIterator[Samples | Mark],
        language: str | None,
        prompt: str,
        *candidates: str,
        expected: str | None = None,
    ) -> AsyncGenerator[RecognitionEvent, None]:
        self.prompts.append(prompt)
        self.candidates = {*candidates}
        self.expected.append(expected)
        return self.recognize(audio, language)

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


class HeldRecognizer(LoudnessRecognizer):
    """Holds a recording at ``at_s``, or after its end, until it may ``go_on``; None: never."""

    def __init__(self, at_s: float | None = None) -> None:
        super().__init__()
        self.holding = self.closed = False
        self.go_on = asyncio.Event()
        self._at_s = at_s

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        async def held() -> AsyncIterator[Samples]:
            taken = 0
            async for piece in audio:
                taken += len(piece)
                if self._at_s is not None and taken >= self._at_s * RATE:
                    await self._hold()
                yield piece
            if self._at_s is not None:
                await self._hold()

        try:
            async with aclosing(super().transcribe(held(), options)) as segments:
                async for segment in segments:
                    yield segment
        finally:
            self.closed = True

    async def _hold(self) -> None:
        self.holding = True
        await self.go_on.wait()


class PausingRecognizer(LoudnessRecognizer):
    """Hears "w0 w1 …", and pauses between; breaks in audio that is louder than ``breaks_above``.

    ``words`` are its first ones, empty ones are heard as noises; ``languages`` are those that it was asked
    for, a recognition each, and ``heard`` is their audio. ``language`` is that of words for which none was.
    """

    def __init__(self, breaks_above: float = 9.0, words: Sequence[str] = (), language: str = "en") -> None:
        super().__init__()
        self.info = RecognizerInfo("pausing", "1", RATE, frozenset({"es", "en", "ja"}))
        self.log_probability: float | None = None
        self.languages: list[str | None] = []
        self.heard: list[list[Samples]] = []
        self._language = language
        self._breaks_above = breaks_above
        self._first = words

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        self.languages.append(language)
        self.heard.append(heard := [])
        samples, voices, due = np.zeros(0, np.float32), list[float](), list[RecognizedWord]()
        index = words = chunks = 0
        silence_s = 9.0
        async for piece in audio:
            if isinstance(piece, Mark):
                yield piece
                continue
            heard.append(piece)
            samples = np.concatenate([samples, piece])
            while len(samples) >= (index + 1) * STEP:
                end = (index + 1) * STEP
                for at in range(chunks * CHUNK, end - CHUNK + 1, CHUNK):
                    voices.append(float(np.abs(samples[at : at + CHUNK]).mean() > LOUD))
                    chunks += 1
                level = np.abs(samples[index * STEP : end]).mean()
                if level > self._breaks_above:
                    raise EngineFailed("the recogniser failed")
                if level > LOUD:
                    text = f"{'ワ' if language == 'ja' else 'w'}{words}" + ("." if words % 5 == 4 else "")
                    if words < len(self._first):
                        text = self._first[words]
                    # Decided once more audio has come, as by every recogniser.
                    of = language or self._language
                    due.append(
                        RecognizedWord(text, index * STEP_S, (index + 1) * STEP_S, of, self.log_probability)
                    )
                    words += 1
                silence_s = 0.0 if level > LOUD else silence_s + STEP_S
                likely = [float(silence_s > length_s / 2) for length_s in PAUSE_LENGTHS_S]
                yield Step(index, tuple(likely), tuple(voices), settled=not due)
                voices.clear()
                index += 1
                while due and due[0].end_s < index * STEP_S - STEP_S / 2:
                    if (word := due.pop(0)).text:
                        yield word
        for word in due:
            if word.text:
                yield word


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


LIVE = "so we went to the garden and saw that all of the old trees there were in flower once again."
"""Words of a turn that is long enough to be heard as a whole."""


class HearsAgain(PausingRecognizer):
    """Hears turns as a whole, once it may ``go_on``, and then ``whole``, without times of its words."""

    def __init__(self, whole: str) -> None:
        super().__init__(words=LIVE.split())
        self.info = replace(self.info, hears_again=True)
        self.asked = False
        self.go_on = asyncio.Event()
        self._whole = whole

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        self.asked = True
        await self.go_on.wait()
        async for segment in super().transcribe(audio, options):
            yield replace(segment, text=self._whole, words=())
            return
