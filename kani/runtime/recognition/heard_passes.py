"""Passes of a model that hears a stretch of audio as a whole, and may tell no times of words."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Mark, RecognitionEvent
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.runtime.recognition.heard_words import after, cut, is_speech, text_of, timed
from kani.runtime.recognition.live import recognize_live
from kani.runtime.recognition.passes import ChunkInput, ChunkResult, PassInput, PassResult
from kani.runtime.recognition.scheduler import PassScheduler
from kani.runtime.recognition.stream import RecognitionStream
from kani.runtime.recognition.transcription import RecordingTranscription
from kani.runtime.voice_detector import CHUNK_S, SAMPLE_RATE, VoiceDetector

# Probability of a detected language, which the runtime does not tell; and of one that is found again.
_DETECTED, _AGAIN = 0.5, 0.9
# Least probability of a voice in a moment with one.
_VOICE = 0.5
# Audio before the speech of a window, and moments that its words are spread over.
_MARGIN_S, _MOMENTS = 0.3, 100


Hear = Callable[[Samples, TranscriptionOptions], Coroutine[Any, Any, list[TranscribedSegment]]]
"""Transcribes a stretch of audio."""


class HeardStretches:
    """Live speech and recordings, heard by stretches."""

    def __init__(self, hear: Hear, detector: VoiceDetector, at_once: int) -> None:
        """at_once: stretches that are heard at once."""
        self._hear, self._detector, self._at_once = hear, detector, at_once
        self._scheduler: PassScheduler[PassResult] = PassScheduler(at_once)

    async def stop(self) -> None:
        await self._scheduler.stop()

    async def live(
        self, audio: AsyncIterator[Samples | Mark], language: str | None, prompt: str, *, too_slow: str
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """Recognise as ``PromptedRecognizer`` does.

        too_slow: why live speech is not heard, or empty. Raises EngineUnavailable for it.
        """
        if too_slow:
            raise EngineUnavailable(too_slow)
        passes = HeardPasses(self._hear, prompt)
        stream = RecognitionStream(self._detector.stream(), language)
        queued = self._scheduler.add_stream(lambda: partial(passes.over_window, stream.begin_pass()))
        try:
            async with aclosing(recognize_live(stream, queued, audio)) as events:
                async for event in events:
                    yield event
        finally:
            passes.cancel()

    async def recording(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """Transcribe as ``Transcriber`` does; a temperature has no effect."""
        passes = HeardPasses(self._hear, options.prompt)
        recording = RecordingTranscription(
            passes.over_stretch,
            text_of,
            self._detector.recording(),
            self._scheduler,
            self._at_once + 1,
            options,
        )
        try:
            async with aclosing(recording.segments(audio)) as segments:
                async for segment in segments:
                    # The letters of its words are no tokens of the model.
                    yield replace(segment, tokens=())
        finally:
            passes.cancel()


class HeardPasses:
    """The passes of one stream or recording, each in a worker's thread. They raise what ``hear`` raises."""

    def __init__(self, hear: Hear, prompt: str) -> None:
        self._hear, self._prompt = hear, prompt
        self._loop = asyncio.get_running_loop()
        self._running: set[Future[list[TranscribedSegment]]] = set()
        self._language = ""  # that the pass before found

    def cancel(self) -> None:
        """End what is heard at the model's next step."""
        for running in [*self._running]:
            running.cancel()

    def over_stretch(self, audio: ChunkInput, stopped: Callable[[], bool]) -> list[ChunkResult]:
        """Transcribe a stretch of a recording; see ``ChunkPass``."""
        chunk = audio.chunk
        heard = [] if stopped() else self._heard(chunk.samples, audio.language, translate=audio.translate)
        if not heard or not is_speech(heard, chunk.duration_s):
            return []
        voiced_s = [at * CHUNK_S for at, voice in enumerate(chunk.voices) if voice >= _VOICE]
        written = "en" if audio.translate else heard[0].language
        words = timed(heard, written, voiced_s or [0.0, chunk.duration_s], 1.0)
        likely = 1.0 if audio.language else _DETECTED
        mean = heard[0].log_probability
        return [ChunkResult(chunk, words, heard[0].language, likely, 0.0, mean, has_speech=True)]

    def over_window(self, audio: PassInput) -> PassResult:
        """Hear the whole window, the decided words included, and return those after them."""
        heard = self._heard(audio.samples, audio.language)
        language = heard[0].language if heard else audio.language or self._language
        again, self._language = language == self._language, language
        likely = 1.0 if audio.language else _AGAIN if again else _DETECTED
        if not is_speech(heard, len(audio.samples) / SAMPLE_RATE):
            return PassResult((), language, likely, has_speech=False)
        voiced_s = np.linspace(_MARGIN_S, max(audio.speech_s, 2 * _MARGIN_S), _MOMENTS)
        # Without probabilities only agreement decides a word.
        words = timed(heard, language, voiced_s.tolist(), 0.0)
        words = after(cut(text_of(audio.prefix), language), words)
        return PassResult(words, language, likely, has_speech=bool(heard))

    def _heard(
        self, samples: Samples, language: str | None, *, translate: bool = False
    ) -> list[TranscribedSegment]:
        options = TranscriptionOptions(language=language, prompt=self._prompt, translate=translate)
        running = asyncio.run_coroutine_threadsafe(self._hear(samples, options), self._loop)
        self._running.add(running)
        try:
            return running.result()
        except CancelledError:
            return []
        finally:
            self._running.discard(running)
