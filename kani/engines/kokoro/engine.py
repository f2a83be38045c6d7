"""Kokoro-82M as an engine of the speech core."""

import asyncio
import logging
import math
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

import onnxruntime

from kani.core.engine import Cloning, Described, VoiceRules
from kani.core.errors import EngineFailed, EngineUnavailable, UnsupportedLanguage
from kani.core.types import Boundary, Embedding, Recording, Segment, SpeechChunk
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.files import with_checkpoints
from kani.engines.kokoro.checkpoints.loading import Checkpoints, Kokoro, load_checkpoints
from kani.engines.kokoro.cloning.placement import VoicePlacer
from kani.engines.kokoro.cloning.refinement import Refiner
from kani.engines.kokoro.cloning.surrogate import Surrogate
from kani.engines.kokoro.cloning.voice_embedding import embedding_model, mix_language
from kani.engines.kokoro.description import described
from kani.engines.kokoro.incremental import IncrementalSentence, PieceTiming, has_enough_words
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import ModelFailed, Stop, Stopped
from kani.engines.kokoro.network.parts import SplitModel
from kani.engines.kokoro.pieces import PreparingSynthesizer
from kani.engines.kokoro.pitch_control import with_rises
from kani.engines.kokoro.scheduler import DeadlineScheduler, SegmentDeadline
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.speech_cost import LATE_COST, SpeechCost, real_time_streams
from kani.engines.kokoro.student.synthesizer import (
    STUDENT_SLOTS,
    StudentSynthesizer,
    light_voices,
    load_students,
)
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.phonemes import Utterance, split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import reader_for, spoken_languages
from kani.engines.kokoro.timing import SILENCE_BETWEEN_UTTERANCES_S, TRAILING_SILENCE_S, speech_chunk
from kani.engines.kokoro.voices import ACCENTED_VOICES, DEFAULT_VOICES, ENGINE, Voices
from kani.engines.plugin import Resources
from kani.runtime.cancelling import wait_until_done
from kani.runtime.extras import install_command
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani_text.incremental_text import IncrementalText
from kani_text.languages import primary
from kani_text.normalizer import SpokenText

MIN_CONCURRENT_STEPS = 2
"""Steps computed at once even on the smallest machine: one uses the time that another leaves idle."""

_LEAST_STREAMS, _STREAMS_A_STEP = 8, 2
"""Streams at once until the machine's speed is measured: at least so many, and for each of these steps. They
share the cores window by window: beyond real-time capacity all would stutter, so the others queue."""

# Mark appended to a text that has none of its own, so that its intonation fits what follows.
_ENDINGS = {
    Boundary.PARAGRAPH: ".",
    Boundary.SENTENCE: ".",
    Boundary.CLAUSE: ",",
    Boundary.WORD: "",
    Boundary.SEAM: "",
}

THREADS = 2
"""Cores that one step is computed with, unless KANI_THREADS names another number."""

_Result = TypeVar("_Result")
logger = logging.getLogger(__name__)


class KokoroEngine(Described):
    """Kokoro-82M, int8, on the CPU: the languages of ``DEFAULT_VOICES`` and ``ACCENTED_VOICES``."""

    def __init__(self, settings: KokoroSettings, resources: Resources) -> None:
        """resources: ``cache_dir`` is the folder of fetched files."""
        self._settings = settings
        self._resources = resources
        self._threads = resources.threads or THREADS
        self._concurrency = max(MIN_CONCURRENT_STEPS, (os.cpu_count() or 1) // self._threads)
        self._pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix=ENGINE)
        self._scheduler = DeadlineScheduler(self._concurrency)
        self._model: SplitModel | None = None
        self._synthesizer: PreparingSynthesizer
        self._students: StudentSynthesizer | None = None
        self._checkpoints = Checkpoints({})
        self._cost = SpeechCost(self._scheduler, self._step, self._concurrency, self._set_slots)

    async def start(self) -> None:
        """Load voices, espeak-ng and the network: 2 s.

        Raises EngineUnavailable.
        """
        await asyncio.get_running_loop().run_in_executor(self._pool, self._load)
        if isinstance(self._synthesizer, WindowedSynthesizer):
            self._cost.start(self._synthesizer, self._checkpoints)

    def _set_slots(self, cost: float, checkpoint_cost: float) -> None:
        light = self.info.light
        slots = real_time_streams(max(cost, checkpoint_cost), os.cpu_count() or 1)
        if light is not None and self._settings.student == "auto":
            light = replace(light, always=cost > LATE_COST)
            if light != self.info.light:
                logger.info("Kokoro's student speaks %s", light.when)
        self._info = replace(self.info, max_concurrency=slots, light=light)
        logger.info("Kokoro takes %.3f processor seconds for a second of speech: %d slots", cost, slots)

    def _load(self) -> None:
        # Its process starts while the networks are loaded.
        espeak = self._pool.submit(EspeakClient.shared, "phonemes")
        self._voices = Voices()
        spoken = spoken_languages()
        student, cache_dir = self._settings.student, self._resources.cache_dir
        try:
            self._students = None if student == "never" else self._load_students()
            if student == "only":
                self._espeak = espeak.result()
                return
            model = _load_model(self._threads)
            self._espeak = espeak.result()
            self._checkpoints = load_checkpoints(
                dict(self._settings.models),
                Kokoro(self._espeak, self._voices.all, model, cache_dir, self._threads),
                imitated={*DEFAULT_VOICES, *self._settings.accented},
            )
        except ModelFailed as error:
            raise EngineUnavailable(
                f"onnxruntime {onnxruntime.__version__} cannot load Kokoro's model: "
                + install_command("", "requirements.txt", "onnxruntime")
            ) from error
        self._model = model
        statistics = StatisticsTable.shipped([voice.id for voice in self._voices.all])
        self._synthesizer = WindowedSynthesizer(model, self._voices, statistics)
        surrogate = Surrogate([voice.id for voice in self._voices.mixed])
        self._placer = VoicePlacer(self._voices, surrogate, SpeakerEncoder())
        self._refiner = Refiner(self._placer, self._synthesizer, self._voices)
        accented = {language: ACCENTED_VOICES[language] for language in self._settings.accented}
        info = replace(
            described(
                "1.0 int8",
                [voice for voice in self._voices.all if primary(voice.language) in spoken],
                {language: DEFAULT_VOICES[language] for language in spoken}
                | {language: voices[0] for language, voices in accented.items()},
                max(_LEAST_STREAMS, _STREAMS_A_STEP * self._concurrency),
            ),
            voice_rules=VoiceRules(accented, mixes=True),
            cloning=Cloning("nearest voice", embedding_model(self._voices)),
            light=light_voices(self._students.facts, always=student == "always") if self._students else None,
        )
        self._info = with_checkpoints(info, [each.files for each in self._checkpoints.all])

    def _load_students(self) -> StudentSynthesizer:
        """Load the students; where nothing else is to be loaded, they are the whole engine."""
        choice, voices = self._settings.student, self._voices.all
        students = load_students(self._settings.students, voices, self._threads)
        if choice == "only":
            self._synthesizer = students
            taught = [voice for voice in voices if voice.id in students.files]
            self._info = described("1.0 student", taught, students.default_voices, STUDENT_SLOTS)
        for facts in students.facts:
            logger.info("Kokoro's student speaks %s as %s: %s", facts.language, facts.voice, choice)
        return students

    def _synthesizer_of(self, segment: Segment) -> PreparingSynthesizer:
        if (checkpoint := self._checkpoints.speaking(segment)) is not None:
            return checkpoint.synthesizer
        return self._students if segment.light and self._students is not None else self._synthesizer

    def _gain(self, segment: Segment) -> float:
        """Return the factor that gives the segment's voice the level of all voices. Raises as ``prepare``."""
        if (checkpoint := self._checkpoints.speaking(segment)) is not None:
            return checkpoint.synthesizer.gain(segment)
        return self._voices.gain(self._synthesizer_of(segment).voice_of(segment))

    async def stop(self) -> None:
        await self._cost.stop()
        await asyncio.to_thread(self._pool.shutdown)
        if self._model is not None:
            self._model.decoder.generator.close()

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each window.

        Yields nothing for a text without anything pronounceable. Raises UnsupportedLanguage and UnknownVoice
        for what ``info`` does not list, EngineFailed for an error of onnxruntime.
        """
        stop, deadline = Stop(), SegmentDeadline(segment.ahead_s)
        step = partial(next, self._chunks(segment, stop), None)
        with self._scheduler.stream() as stream:
            while (chunk := await self._step(step, stop, stream.slot(deadline.due))) is not None:
                deadline.add(chunk.duration_s)
                yield chunk

    async def stream(self, segment: Segment, text: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """See ``StreamingInputEngine.stream``. Raises as ``synthesize``."""
        synthesizer = self._synthesizer_of(segment)
        sentence = IncrementalSentence(synthesizer, self._reader_of(segment), segment)
        timing = PieceTiming(self._gain(segment))
        stop, deadline = Stop(), SegmentDeadline(segment.ahead_s)
        while not (text.boundary is not None and sentence.spoken_length >= len(text.text)):
            # A snapshot, since the text grows during every await below.
            spoken, boundary, spoken_before = text.spoken, text.boundary, sentence.spoken_length
            if boundary is not None and not spoken_before:
                async with aclosing(self.synthesize(_completed(segment, spoken, boundary))) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            if boundary is None and not await has_enough_words(sentence, text, spoken.text, timing):
                continue
            ending = None if boundary is None else _ENDINGS[boundary]
            step = partial(next, sentence.synthesize(spoken.text, ending, stop, spoken.pronunciations), None)
            timing.begin_piece()
            with self._scheduler.stream() as stream:
                while (audio := await self._step(step, stop, stream.slot(deadline.due))) is not None:
                    chunk = timing.add(audio)
                    deadline.add(chunk.duration_s)
                    yield chunk
            if boundary is None and sentence.spoken_length == spoken_before:
                # None of the new words is pronounceable.
                await text.wait_for_more(len(spoken.text))

    async def embed(self, recording: Recording) -> Embedding:
        steps = self._placer.embed(recording)
        async with aclosing(self._embeddings(steps, Stop(), time.monotonic())) as embeddings:
            return await anext(embeddings)

    def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``RefiningEngine.refine``.

        For a language without a mix of its own the one that it borrows the timbre of is refined.
        Raises UnsupportedLanguage, InvalidRequest for an embedding of another engine, and EngineFailed.
        """
        reader = self._reader(language)
        if (borrowed := mix_language(language)) != primary(language):
            language, reader = borrowed, self._reader(borrowed)
        stop = Stop()
        steps = self._refiner.refine(recording, embedding, language, reader, stop)
        return self._embeddings(steps, stop, math.inf)

    async def _embeddings(
        self, steps: Iterator[Embedding | None], stop: Stop, deadline: float
    ) -> AsyncGenerator[Embedding, None]:
        """Run ``steps`` one by one in the scheduler; yield their results."""
        step = partial(next, steps, stop)
        while (found := await self._step(step, stop, self._scheduler.slot(deadline))) is not stop:
            if isinstance(found, Embedding):
                yield found

    async def _step(
        self, step: Callable[[], _Result], stop: Stop, slot: AbstractAsyncContextManager[None]
    ) -> _Result:
        """Run ``step`` in the pool while holding ``slot``; a cancel stops it and waits for its end."""
        async with slot:
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
        """Synthesise a segment in the pool's threads, one chunk a step. Raises Stopped."""
        utterances = self._utterances(segment)
        gain, end_s, named = self._gain(segment), 0.0, 0
        for index, utterance in enumerate(utterances):
            begin_s = end_s
            last = utterance is utterances[-1]
            silence_s = TRAILING_SILENCE_S if last else SILENCE_BETWEEN_UTTERANCES_S
            # After the first utterance there is audio enough to predict the next one at once.
            audios = self._synthesizer_of(segment).synthesize(
                utterance, segment, stop, trailing_silence_s=silence_s, in_steps=index == 0
            )
            for audio in audios:
                # A word split between two utterances has its span in the first.
                chunk = speech_chunk(audio, end_s, gain, begin_s, first_character=named)
                end_s = chunk.end_s
                yield chunk
            named = utterance.words[-1].end

    def _utterances(self, segment: Segment) -> list[Utterance]:
        utterances = split_utterances(
            segment.text,
            self._reader_of(segment),
            ending=_ENDINGS[segment.boundary],
            pronunciations=segment.pronunciations,
        )
        seam = segment.boundary is Boundary.SEAM
        return with_rises(utterances, segment.text, segment.language, seam=seam)

    def _reader_of(self, segment: Segment) -> TextReader:
        checkpoint = self._checkpoints.speaking(segment)
        return self._reader(segment.language) if checkpoint is None else checkpoint.reader(segment.language)

    def _reader(self, language: str) -> TextReader:
        known = primary(language) in self.info.default_voices
        reader = reader_for(self._espeak, language, self._resources.cache_dir) if known else None
        if reader is None:
            raise UnsupportedLanguage(language, ", ".join(self.info.default_voices))
        return reader


def _load_model(threads: int) -> SplitModel:
    """Load Kokoro's own network. Raises EngineUnavailable and ModelFailed."""
    try:
        # Imported here: the students run without LiteRT.
        from kani.engines.kokoro.litert.decoder import load_model
    except ImportError as error:
        raise EngineUnavailable(
            "the package ai-edge-litert cannot be imported; "
            f"{install_command('', 'requirements.txt')} brings it where it runs"
        ) from error
    return load_model(threads)


def _completed(segment: Segment, spoken: SpokenText, boundary: Boundary) -> Segment:
    """The segment with its whole text, for a sentence that was complete before its first word was spoken."""
    return replace(segment, text=spoken.text, boundary=boundary, pronunciations=spoken.pronunciations)
