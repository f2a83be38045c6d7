"""Kokoro as an engine of the speech core."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import onnxruntime

from engines import weights
from engines.cancelling import wait_until_done
from engines.espeak.client import EspeakClient
from engines.kokoro.cloning.nearest_voice import NearestVoice
from engines.kokoro.decoder_build import DecoderBuild
from engines.kokoro.decoder_choice import Int8DecoderLoader, load_int8_decoder
from engines.kokoro.incremental import IncrementalSentence
from engines.kokoro.int8.libraries import Pause
from engines.kokoro.network import parts_cache
from engines.kokoro.network.decoder import Decoder
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.network.onnx_model import SAMPLE_RATE, ModelFailed, Stop, Stopped, WholeModel
from engines.kokoro.network.parts import LoadPart, SplitModel
from engines.kokoro.pitch_control import NATIVE_PROSODY_FIELDS
from engines.kokoro.scheduler import DeadlineScheduler
from engines.kokoro.speed_check import MAX_REAL_TIME_FACTOR, real_time_factor
from engines.kokoro.synthesizer import Synthesizer, WholeSynthesizer, WindowedSynthesizer
from engines.kokoro.text.espeak_ipa import Phonemizer, phonemizer_for
from engines.kokoro.text.phonemes import Utterance, split_utterances
from engines.kokoro.timing import SILENCE_BETWEEN_UTTERANCES_S, TRAILING_SILENCE_S, TimedAudio
from engines.kokoro.voice_embedding import embedding_model
from engines.kokoro.voices import DEFAULT_VOICES, ENGINE, Voices
from engines.settings import KokoroSettings
from speech.engine import EngineInfo
from speech.errors import EngineFailed, EngineUnavailable, UnsupportedLanguage
from speech.playback import Playback
from speech.text.incremental_text import IncrementalText
from speech.types import Boundary, Embedding, Recording, Segment, Span, SpeechChunk

MIN_CONCURRENT_STEPS = 2
"""Steps that are computed at once on the smallest machine: what one leaves idle the other uses."""

# Measured by whisper-base on 20 sentences es and en: natively 2 % of words are wrong at 1, 5 % at 1.1, 13 %
# at 1.35 and 21 % at 1.67, where a filter that shortens plain speech leaves 1–2 %. Slowly it says no word
# wrong, but a sentence that is longer is foreseen for longer: the first sound comes 5 % later at 0.8, 15 %
# at 0.625.
SPEED_RANGE = (0.8, 1.0)

# What closes a text that has no mark of its own, so that its melody fits what follows.
_ENDINGS = {Boundary.PARAGRAPH: ".", Boundary.SENTENCE: ".", Boundary.CLAUSE: ",", Boundary.WORD: ""}

# A sentence that is being written is begun with so many words (and those behind them that are held
# back), and goes on with so many more at a time, or with fewer before its listener has none left.
_FIRST_WORDS = 2
_MORE_WORDS = 5
_SPARE_S = 0.05

_WHY_ONNX = {"windows": "as was chosen", "whole": "which decodes whole utterances"}

_Result = TypeVar("_Result")
logger = logging.getLogger(__name__)


class KokoroEngine:
    """Kokoro-82M, int8, on the CPU: Spanish, English, French, Italian and Portuguese."""

    def __init__(self, settings: KokoroSettings) -> None:
        self._settings = settings
        self._at_once = max(MIN_CONCURRENT_STEPS, (os.cpu_count() or 1) // settings.threads)
        self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix=ENGINE)
        self._turns = DeadlineScheduler(self._at_once)
        self._info: EngineInfo | None = None
        self._fast: Int8DecoderLoader | None = None
        self._model: SplitModel | None = None

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load voices, espeak-ng and the model (1 s, at the first start 3 s, or a download).

        The fast decoder is loaded (2 s), and at the first start prepared before (20 s), unless onnxruntime is
        chosen, or speaks without gaps meanwhile. Raises EngineUnavailable.
        """
        await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
        if self._fast is None:
            logger.info("Kokoro speaks by onnxruntime, %s", _WHY_ONNX[self._settings.decoding])
        elif self._settings.decoder == "fast":
            await self._fast.load_required()
        elif await asyncio.to_thread(self._speaks_meanwhile):
            self._fast.load_in_background(self._turns.idle)
        else:
            await self._fast.load_if_supported()

    def _speaks_meanwhile(self) -> bool:
        """Whether the fast decoder is prepared behind the speech: that takes long, and none of it is late."""
        assert self._fast is not None and self._model is not None
        if not self._fast.needs_build:
            return False
        seconds = real_time_factor(self._model.decoder.generator)
        if seconds <= MAX_REAL_TIME_FACTOR:
            return True
        logger.info(
            "onnxruntime takes %.2f s for a second of Kokoro's speech here, too long to play without gaps: "
            "the server is ready once the fast decoder speaks",
            seconds,
        )
        return False

    async def wait_until_loaded(self) -> None:
        """See ``LoadingEngine.settled``."""
        if self._fast is not None:
            await self._fast.wait_finished()

    def _load(self) -> None:
        self._voices = Voices()
        self._espeak = EspeakClient.shared()
        try:
            self._speaker = self._new_speaker()
        except ModelFailed as error:
            raise EngineUnavailable(
                f"onnxruntime {onnxruntime.__version__} cannot load Kokoro's model: "
                "install the version that requirements.txt names"
            ) from error
        in_windows = isinstance(self._speaker, WindowedSynthesizer)
        if isinstance(self._speaker, WindowedSynthesizer):
            self._nearest = NearestVoice(self._voices, self._speaker)
        self._info = EngineInfo(
            name=ENGINE,
            version="1.0 int8",
            sample_rate=SAMPLE_RATE,
            voices=self._voices.all,
            default_voices=DEFAULT_VOICES,
            max_concurrency=self._at_once if self._model is None else self._places(self._model.decoder),
            speed_range=SPEED_RANGE,
            streams_inside_segment=in_windows,
            pausable=in_windows,
            accepts_partial_text=in_windows,
            # The published graph makes sound and melody in one, and so at no pitch but its voice's.
            cloning="nearest voice" if in_windows else "none",
            embedding_model=embedding_model(self._voices) if in_windows else "",
            native_prosody=NATIVE_PROSODY_FIELDS if in_windows else frozenset(),
            accepts_ipa=True,
            decoder="onnx",
        )

    def _places(self, decoder: Decoder) -> int:
        return max(decoder.max_concurrency, decoder.max_concurrency // 4 * self._at_once)

    def _new_speaker(self) -> Synthesizer:
        settings = self._settings
        onnx = weights.load(
            weights.KOKORO,
            models_dir=settings.models_dir,
            cache_dir=settings.cache_dir,
            may_fetch=settings.may_fetch,
        )
        if settings.decoding == "whole":
            return WholeSynthesizer(WholeModel(onnx, settings.threads), self._voices)
        parts = parts_cache.load(onnx, settings.cache_dir)
        if settings.decoder != "onnx":
            cores = os.cpu_count() or 1

            def load(part: LoadPart, folder: Path, pause: Pause | None) -> Decoder:
                return load_int8_decoder(part, folder, cores, pause)

            self._fast = Int8DecoderLoader(
                load, parts, self._speak_by, DecoderBuild(settings.cache_dir, cores)
            )
            self._fast.preload_libraries()
        statistics = StatisticsTable([voice.id for voice in self._voices.all])
        self._model = SplitModel(parts, settings.threads)
        return WindowedSynthesizer(self._model, self._voices, statistics)

    def _speak_by(self, decoder: Decoder) -> None:
        assert self._model is not None
        self._model.decoder = decoder
        self._info = replace(self.info, decoder=decoder.name, max_concurrency=self._places(decoder))

    async def stop(self) -> None:
        """See ``Engine.stop``; while the fast decoder is being loaded it takes up to 2 s."""
        if self._fast is not None:
            await self._fast.stop()
            self._fast = None
        await asyncio.to_thread(self._pool.shutdown)
        if self._model is not None:
            self._model.decoder.generator.close()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each window (whole: for each utterance of some 15 s).

        A text of which nothing can be said yields nothing. Raises UnsupportedLanguage and
        UnknownVoice for what is not among ``info``'s, EngineFailed when onnxruntime breaks.
        """
        stop, playback = Stop(), Playback()
        chunks = self._chunks(segment, stop)
        while (chunk := await self._step(partial(next, chunks, None), stop, playback.ends_at)) is not None:
            playback.add(chunk.duration_s)
            yield chunk

    async def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """See ``WritingEngine.stream``. Raises as ``synthesize``."""
        assert isinstance(self._speaker, WindowedSynthesizer)
        sentence = IncrementalSentence(self._speaker.for_segment(), self._sayer(segment.language), segment)
        stop, playback = Stop(), Playback()
        at_s = step_s = 0.0
        while not (written.boundary is not None and sentence.spoken_length >= len(written.text)):
            spoken, boundary, said = written.spoken, written.boundary, sentence.spoken_length
            text, pronunciations = spoken.text, spoken.pronunciations
            if boundary is not None and not said:
                whole = self.synthesize(
                    replace(segment, text=text, boundary=boundary, pronunciations=pronunciations)
                )
                async with aclosing(whole) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            ready = sentence.count_ready_words(text, complete=boundary is not None)
            # Every piece costs some time and a joint: with more words to come it pays to wait for some,
            # as long as there is something left to hear.
            spare_s = playback.remaining_s - step_s - _SPARE_S
            wanted = _FIRST_WORDS if not said else _MORE_WORDS if spare_s > 0 else 1
            if boundary is None and ready < wanted:
                await written.wait_for_more(len(text), spare_s if said and ready > 0 else None)
                continue
            ending = None if boundary is None else _ENDINGS[boundary]
            step = partial(next, sentence.synthesize(text, ending, stop, pronunciations), None)
            begun, step_s = time.monotonic(), 0.0
            while (heard := await self._step(step, stop, playback.ends_at)) is not None:
                step_s = step_s or time.monotonic() - begun
                chunk = _chunk(heard, at_s)
                at_s = chunk.end_s
                playback.add(chunk.duration_s)
                yield chunk
            if boundary is None and sentence.spoken_length == said:
                # None of those words is one that can be said.
                await written.wait_for_more(len(text))

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``; decoding in windows only."""
        steps = self._nearest.embed(recording)
        async with aclosing(self._found(steps, Stop(), time.monotonic())) as found:
            return await anext(found)

    async def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``CloningEngine.refine``; decoding in windows only.

        Raises UnsupportedLanguage, InvalidRequest for an embedding that is none of this engine's, and
        EngineFailed.
        """
        stop = Stop()
        steps = self._nearest.refine(recording, embedding, language, self._sayer(language), stop)
        async with aclosing(self._found(steps, stop, math.inf)) as found:
            async for better in found:
                yield better

    async def _found(
        self, steps: Iterator[Embedding | None], stop: Stop, due: float
    ) -> AsyncGenerator[Embedding, None]:
        """What ``steps`` find, one step a turn."""
        while (step := await self._step(partial(next, steps, stop), stop, due)) is not stop:
            if isinstance(step, Embedding):
                yield step

    async def _step(self, step: Callable[[], _Result], stop: Stop, due: float) -> _Result:
        """Do ``step`` in the pool, in turn; when cancelled, stop it and return only when it has ended."""
        async with self._turns.slot(due):
            job = self._pool.submit(step)
            done = asyncio.wrap_future(job)
            try:
                return await asyncio.shield(done)
            except asyncio.CancelledError:
                stop.set()
                if not job.cancel():
                    with suppress(asyncio.CancelledError):
                        await wait_until_done(done)
                    if not isinstance(done.exception(), Stopped | None):
                        logger.warning("a synthesis failed while it was cancelled", exc_info=done.exception())
                raise
            except ModelFailed as error:
                raise EngineFailed("the Kokoro engine failed") from error

    def _chunks(self, segment: Segment, stop: Stop) -> Iterator[SpeechChunk]:
        """The segment's speech, in the pool's threads, a chunk a step. Raises Stopped."""
        parts = self._utterances(segment)
        speaker = self._speaker.for_segment()
        at_s = 0.0
        said = 0
        for index, utterance in enumerate(parts):
            begun_s = at_s
            keep_after_s = TRAILING_SILENCE_S if index + 1 == len(parts) else SILENCE_BETWEEN_UTTERANCES_S
            for heard in speaker.synthesize(utterance, segment, stop, trailing_silence_s=keep_after_s):
                # A word cut in two was named by its first half.
                chunk = _chunk(heard, at_s, begun_s, named_before=said)
                at_s = chunk.end_s
                yield chunk
            said = utterance.words[-1].end

    def _utterances(self, segment: Segment) -> list[Utterance]:
        say = self._sayer(segment.language)
        ending = _ENDINGS[segment.boundary]
        return split_utterances(segment.text, say, ending=ending, pronunciations=segment.pronunciations)

    def _sayer(self, language: str) -> Phonemizer:
        say = phonemizer_for(self._espeak, language)
        if say is None:
            raise UnsupportedLanguage(language, ", ".join(DEFAULT_VOICES))
        return say


def _chunk(heard: TimedAudio, at_s: float, begun_s: float = 0.0, named_before: int = 0) -> SpeechChunk:
    """What was heard, at ``at_s`` of the segment, of an utterance that began at ``begun_s``."""
    spans = tuple(
        Span(timed.word.start, timed.word.end, timed.start_s, timed.end_s, timed.character_starts)
        for timed in (word.shifted(begun_s) for word in heard.words)
        if timed.word.start >= named_before
    )
    return SpeechChunk(heard.samples, SAMPLE_RATE, at_s, spans)
