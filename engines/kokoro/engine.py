"""Kokoro as an engine of the speech core."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import onnxruntime

import weights
from engines.cancelling import outlast
from engines.espeak_library import EspeakLibrary
from engines.kokoro.ipa import TIE, espeak_voice, to_symbols
from engines.kokoro.lead_in import lead_in, without
from engines.kokoro.model import SAMPLE_RATE, KokoroModel, ModelFailed, Stop, Stopped
from engines.kokoro.phonemes import Utterance, utterances
from engines.kokoro.timing import MARGIN_S, speech_of
from engines.kokoro.voices import DEFAULT_VOICES, ENGINE, Voices
from speech.engine import EngineInfo
from speech.errors import EngineFailed, EngineUnavailable, UnsupportedLanguage
from speech.types import Boundary, Segment, Span, SpeechChunk

PLACES = 2
THREADS = 2
# Measured by whisper-base on 20 sentences es and en: natively 2 % of words are wrong up to 1.2, 13 %
# at 1.35 and 21 % at 1.67, where a filter that shortens plain speech leaves 1–2 %.
SPEED_RANGE = (0.625, 1.2)

# What closes a text that has no mark of its own, so that its melody fits what follows.
_ENDINGS = {Boundary.PARAGRAPH: ".", Boundary.SENTENCE: ".", Boundary.CLAUSE: ",", Boundary.WORD: ""}
# How much silence stays between two parts of a text that is too long for one utterance.
_KEPT_BETWEEN_S = 0.15

_Result = TypeVar("_Result")
logger = logging.getLogger(__name__)


class KokoroEngine:
    """Kokoro-82M, int8, on the CPU: Spanish, English, French, Italian and Portuguese."""

    def __init__(self, *, models_dir: Path | None, cache_dir: Path, threads: int = THREADS) -> None:
        """models_dir, cache_dir: as ``weights.load`` takes them; threads: cores for one segment."""
        self._models_dir = models_dir
        self._cache_dir = cache_dir
        self._threads = threads
        self._pool = ThreadPoolExecutor(PLACES, thread_name_prefix=ENGINE)
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load voices, espeak-ng and the model (1 s, or a download). Raises EngineUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._load)

    def _load(self) -> None:
        self._voices = Voices()
        self._espeak = EspeakLibrary.shared()
        onnx = weights.load(weights.KOKORO, models_dir=self._models_dir, cache_dir=self._cache_dir)
        try:
            self._model = KokoroModel(onnx, self._threads)
        except ModelFailed as error:
            raise EngineUnavailable(
                f"onnxruntime {onnxruntime.__version__} cannot load Kokoro's model: "
                "install the version that requirements.txt names"
            ) from error
        self._info = EngineInfo(
            name=ENGINE,
            version="1.0 int8",
            sample_rate=SAMPLE_RATE,
            voices=self._voices.all,
            default_voices=DEFAULT_VOICES,
            places=PLACES,
            speed_range=SPEED_RANGE,
        )

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        await asyncio.to_thread(self._pool.shutdown)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; one chunk for each utterance of at most some 15 s.

        A text of which nothing can be said yields nothing. Raises UnsupportedLanguage and
        UnknownVoice for what is not among ``info``'s, EngineFailed when onnxruntime breaks.
        """
        stop = Stop()
        chunks = self._chunks(segment, stop)
        while (chunk := await self._run(lambda: next(chunks, None), stop)) is not None:
            yield chunk

    async def _run(self, step: Callable[[], _Result], stop: Stop) -> _Result:
        """Do ``step`` in the pool; when cancelled, stop it and return only when it has ended."""
        job = self._pool.submit(step)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            stop.set()
            if not job.cancel():
                with suppress(asyncio.CancelledError):
                    await outlast(done)
                if not isinstance(done.exception(), Stopped | None):
                    logger.warning("a synthesis failed while it was cancelled", exc_info=done.exception())
            raise
        except ModelFailed as error:
            raise EngineFailed("the Kokoro engine failed") from error

    def _chunks(self, segment: Segment, stop: Stop) -> Iterator[SpeechChunk]:
        """The segment's speech, in the pool's threads, a chunk a step. Raises Stopped."""
        parts = self._utterances(segment)
        at_s = 0.0
        said = 0
        for index, utterance in enumerate(parts):
            lead = lead_in(utterance, segment.language)
            symbols = lead + utterance.symbols
            style = self._voices.style(segment.voice, len(symbols))
            rendering = self._model.render(symbols, style, segment.speed, stop)
            if lead:
                rendering = without(rendering, lead)
            last = index + 1 == len(parts)
            speech = speech_of(rendering, utterance, keep_after_s=MARGIN_S if last else _KEPT_BETWEEN_S)
            spans = tuple(
                Span(word.start, word.end, at_s + start_s, at_s + end_s)
                for word, (start_s, end_s) in zip(utterance.words, speech.times, strict=True)
                # A word cut in two was named by its first half.
                if word.start >= said
            )
            chunk = SpeechChunk(speech.samples, SAMPLE_RATE, at_s, spans)
            at_s = chunk.end_s
            said = utterance.words[-1].end
            yield chunk

    def _utterances(self, segment: Segment) -> list[Utterance]:
        voice = espeak_voice(segment.language)
        if voice is None:
            raise UnsupportedLanguage(segment.language, ", ".join(DEFAULT_VOICES))

        def say(clause: str) -> str:
            return to_symbols(self._espeak.phonemes(clause, voice, TIE), voice)

        return utterances(segment.text, say, ending=_ENDINGS[segment.boundary])
