"""The recogniser of GGUF files: recordings by stretches, and live speech by passes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import Mark, PromptedRecognizer, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.plugin import Resources
from kani.engines.transcribe.plugin import PACKAGE, check_name
from kani.engines.transcribe.settings import LANGUAGE, MODEL, TranscribeSettings
from kani.engines.transcribe.words import cut, is_speech, text_of, timed, told
from kani.runtime.model_names import short_name
from kani.runtime.recognition import live_delay
from kani.runtime.recognition.live import recognize_live
from kani.runtime.recognition.passes import ChunkInput, ChunkResult, PassInput, PassResult
from kani.runtime.recognition.scheduler import PassScheduler
from kani.runtime.recognition.stream import RecognitionStream
from kani.runtime.recognition.transcription import RecordingTranscription
from kani.runtime.voice_detector import CHUNK_S, SAMPLE_RATE

# Probability of a detected language, which the runtime does not tell; and of one that is found again.
_DETECTED, _AGAIN = 0.5, 0.9
# Least probability of a voice in a moment with one.
_VOICE = 0.5
# Audio before the speech of a window, and moments that its words are spread over.
_MARGIN_S, _MOMENTS = 0.3, 100


class TranscribeRecognizer(PromptedRecognizer, PackageRecognizer):
    """A model in a GGUF file. See ``docs/engines.md``."""

    def __init__(self, settings: TranscribeSettings, resources: Resources) -> None:
        """Raises EngineUnavailable for a model that cannot be one."""
        name = short_name(check_name(settings.model))
        info = RecognizerInfo("transcribe", name, SAMPLE_RATE, frozenset())
        # Not super(): the protocol's does nothing.
        PackageRecognizer.__init__(self, PACKAGE, settings, resources, info)
        self._named = settings.language

    async def _prepare(self) -> None:
        """See ``PackageRecognizer``; the delay of live words was measured."""
        self._scheduler: PassScheduler[PassResult] = PassScheduler(self._found.settings["copies"])
        await super()._prepare()
        info = self._info
        too_slow = live_delay.too_slow(info.name, info.version, info.live_delay_s or 0.0, MODEL)
        self._info = replace(info, recordings_only=too_slow, hears_again=True)
        if self._named is not None and self._named not in info.languages:
            known = ", ".join(sorted(info.languages))
            raise EngineUnavailable(f"{LANGUAGE}: {info.version} knows {known}, and not {self._named}")

    async def stop(self) -> None:
        """See ``Recognizer.stop``."""
        if hasattr(self, "_scheduler"):  # it is made once the worker has started
            await self._scheduler.stop()
        await super().stop()

    async def recognize_prompted(
        self, audio: AsyncIterator[Samples | Mark], language: str | None, prompt: str
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``PromptedRecognizer``; a prompt has an effect on a model that takes one.

        Raises EngineUnavailable where passes are too slow, and InvalidRequest without a language where the
        model needs one.
        """
        if self._info.recordings_only:
            raise EngineUnavailable(self._info.recordings_only)
        passes = _Passes(self.hear, prompt)
        stream = RecognitionStream(self._detector.stream(), self._spoken(language))
        queued = self._scheduler.add_stream(lambda: partial(passes.over_window, stream.begin_pass()))
        try:
            async with aclosing(recognize_live(stream, queued, audio)) as events:
                async for event in events:
                    yield event
        finally:
            passes.cancel()

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        """See ``Transcriber.transcribe``; a temperature has no effect.

        Raises InvalidRequest as ``recognize_prompted`` does, and for a translation that the model does not
        make.
        """
        passes = _Passes(self.hear, options.prompt)
        recording = RecordingTranscription(
            passes.over_stretch,
            text_of,
            self._detector.recording(),
            self._scheduler,
            self._found.settings["copies"] + 1,
            replace(options, language=self._spoken(options.language)),
        )
        try:
            async with aclosing(recording.segments(audio)) as segments:
                async for segment in segments:
                    # The letters of its words are no tokens of the model.
                    yield replace(segment, tokens=())
        finally:
            passes.cancel()

    def _spoken(self, language: str | None) -> str | None:
        return language or self._named or self.only_language


class _Passes:
    """The passes of one stream or recording, each in a worker's thread. They raise SpeechError."""

    def __init__(
        self,
        hear: Callable[[Samples, TranscriptionOptions], Coroutine[Any, Any, list[TranscribedSegment]]],
        prompt: str,
    ) -> None:
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
        # Where the model tells no probability, only agreement decides a word.
        words = timed(heard, language, voiced_s.tolist(), 0.0)
        count = told(cut(text_of(audio.prefix), language), [one.word for one in words])
        return PassResult(words[count:], language, likely, has_speech=bool(heard))

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
