"""A server of OpenAI's audio API as a recogniser: recordings by stretches, and live speech by passes."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from kani.core.audio.pcm import wav
from kani.core.errors import EngineFailed, EngineUnavailable, UnsupportedLanguage
from kani.core.recognizer import Mark, PromptedRecognizer, RecognitionEvent, RecognizerInfo
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.openai.plugin import LANGUAGES, OpenAIUpstreamSettings
from kani.engines.openai.service import SILENCE_S, STREAMS, Upstream, UpstreamFailed, chosen_model
from kani.engines.plugin import Resources
from kani.engines.upstream.relay import START_S, ask_later
from kani.runtime.cancelling import end_tasks
from kani.runtime.recognition import live_delay
from kani.runtime.recognition.heard_passes import HeardStretches
from kani.runtime.recognition.heard_words import cut
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceDetector
from kani_text import foreign, language_detection, languages

MAX_ANSWER_BYTES = 1 << 20
MAX_TRANSCRIPT = 10_000
"""Characters of a stretch of speech, at most: words are told apart on the event loop."""

USUAL_MODEL = "whisper-1"
RETRY_S = 0.5
MEASURED_S = 2.0
"""Audio of the request that measures the server at the start."""

log = logging.getLogger(__name__)


class _Word(Struct):
    word: str
    start: float
    end: float


class _Answer(Struct):
    text: Annotated[str, Meta(max_length=MAX_TRANSCRIPT)]
    language: str | None = None
    words: list[_Word] | None = None


class OpenAIRecognizer(PromptedRecognizer):
    """Sends every stretch of speech to another server, live speech several times."""

    def __init__(
        self, settings: OpenAIUpstreamSettings, resources: Resources, *, silence_s: float = SILENCE_S
    ) -> None:
        self._streams = resources.max_concurrent or STREAMS
        self._upstream = Upstream(settings, silence_s)
        self._named, self._model = resources.model, resources.model or USUAL_MODEL
        self._asking: asyncio.Task[None] | None = None
        self._words = True  # whether the server is asked for the times of words: some models refuse it
        self._info = RecognizerInfo(
            "openai", self._named or "upstream", SAMPLE_RATE, frozenset(languages.KNOWN), hears_again=True
        )

    @property
    def info(self) -> RecognizerInfo:
        return self._info

    async def start(self) -> None:
        """Ask the server for its models, and measure it, later where that takes long.

        Raises EngineUnavailable.
        """
        await self._upstream.start()
        try:
            async with asyncio.timeout(START_S):
                await self._measure()
        except UpstreamFailed as failure:
            await self._upstream.stop()
            reason = f"{failure} ({failure.detail})"
            raise EngineUnavailable(reason, passing=failure.affects_all_requests) from failure
        except TimeoutError:
            log.warning("the upstream server does not answer in %g s: it is measured later", START_S)
            self._asking = asyncio.create_task(ask_later(self._measure, "its model and its speed"))
        detector = await asyncio.to_thread(VoiceDetector)
        self._stretches = HeardStretches(self._hear, detector, self._streams)
        await asyncio.to_thread(language_detection.load_detector)

    async def _measure(self) -> None:
        """Learn the model, and how late live words come. Raises UpstreamFailed."""
        if self._named is None:
            self._model = await chosen_model(self._upstream, USUAL_MODEL)
        noise = np.random.default_rng(0).normal(0.0, 0.1, round(MEASURED_S * SAMPLE_RATE))
        await self._heard(noise.astype(np.float32), TranscriptionOptions())  # opens the connection
        begun = time.perf_counter()
        await self._heard(noise.astype(np.float32), TranscriptionOptions())
        delay_s = live_delay.delay_s(time.perf_counter() - begun)
        too_slow = live_delay.too_slow("openai", self._model, delay_s, "KANI_UPSTREAM")
        self._info = replace(self._info, version=self._model, live_delay_s=delay_s, recordings_only=too_slow)

    async def stop(self) -> None:
        await end_tasks(self._asking)
        await self._upstream.stop()
        if hasattr(self, "_stretches"):  # they are made once the server was reached
            await self._stretches.stop()

    def recognize_prompted(
        self,
        audio: AsyncIterator[Samples | Mark],
        language: str | None,
        prompt: str,
        *candidates: str,
        expected: str | None = None,
    ) -> AsyncGenerator[RecognitionEvent, None]:
        """See ``PromptedRecognizer``; also raises EngineUnavailable where the server is too slow."""
        return self._stretches.live(audio, language, prompt, too_slow=self._info.recordings_only)

    def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        return self._stretches.recording(audio, options)

    async def _hear(self, samples: Samples, options: TranscriptionOptions) -> list[TranscribedSegment]:
        """Transcribe 16 kHz samples by a request, or two where the first fails. Raises EngineFailed."""
        try:
            try:
                return await self._heard(samples, options)
            except UpstreamFailed as failure:
                if not failure.transient:
                    raise
            await asyncio.sleep(RETRY_S)
            return await self._heard(samples, options)
        except UpstreamFailed as failure:
            raise EngineFailed(str(failure)) from failure

    async def _heard(self, samples: Samples, options: TranscriptionOptions) -> list[TranscribedSegment]:
        """Transcribe by one request. Raises UpstreamFailed."""
        recording = await asyncio.to_thread(wav, samples, SAMPLE_RATE)
        fields = {"model": self._model, "prompt": options.prompt, "language": options.language or ""}
        fields = {name: value for name, value in fields.items() if value}
        path = "/audio/translations" if options.translate else "/audio/transcriptions"
        timed = self._words and not options.translate
        seconds = len(samples) / SAMPLE_RATE
        within_s = self._upstream.patience_s(seconds)
        try:
            answer = await self._asked(path, recording, fields, within_s, timed=timed)
        except UpstreamFailed as failure:
            if failure.code != "refused" or not timed:
                raise
            answer = await self._asked(path, recording, fields, within_s, timed=False)
            self._words = False
        text = answer.text.strip()
        if not text:
            return []
        language = self._language(answer, options)
        words = _timed(text, language, answer.words or [], seconds)
        return [TranscribedSegment(text, 0.0, seconds, words, language=language)]

    async def _asked(
        self, path: str, recording: bytes, fields: dict[str, str], within_s: float, *, timed: bool
    ) -> _Answer:
        form: dict[str, str | list[str]] = {**fields, "response_format": "json"}
        if timed:
            form |= {"response_format": "verbose_json", "timestamp_granularities[]": ["word"]}
        files = {"file": ("speech.wav", recording, "audio/wav")}
        body = await self._upstream.whole("POST", path, MAX_ANSWER_BYTES, within_s, data=form, files=files)
        try:
            return foreign.decode_json(body, _Answer)
        except foreign.Unreadable as error:
            raise UpstreamFailed("unreadable", f"it is no transcript: {error}") from error

    def _language(self, answer: _Answer, options: TranscriptionOptions) -> str:
        """Return the primary subtag of what was said, for a translation too."""
        if options.language is not None:
            return options.language
        try:
            return languages.primary(languages.resolve(answer.language or ""))
        except UnsupportedLanguage:
            return language_detection.detect(answer.text, LANGUAGES) or "en"


def _timed(text: str, language: str, told: Sequence[_Word], seconds: float) -> tuple[TranscribedWord, ...]:
    """Return the words of a text with the times that the server tells; none where these are not of its words.

    Some servers leave out the punctuation of the words.
    """
    words = cut(text, language)
    edges = [edge for word in told for edge in (word.start, word.end)]
    ordered = all(0.0 <= edge <= seconds + 1.0 for edge in edges) and edges == sorted(edges)
    if len(words) != len(told) or not ordered:
        return ()
    return tuple(
        TranscribedWord(word.text, min(one.start, seconds), min(one.end, seconds), 0.0)
        for word, one in zip(words, told, strict=True)
    )
