"""Kyutai's Pocket TTS as an engine of the speech core.

Its other modules import torch, so this one imports them only when the engine starts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.types import Embedding, Recording, Samples, Segment, Span, SpeechChunk, Voice
from kani.engines.plugin import Resources
from kani.engines.pocket.settings import PocketSettings
from kani.runtime.cancelling import speak
from kani.runtime.extras import install_command
from kani.runtime.recording_embedder import RecordingEmbedder
from kani.runtime.silence_trim import SilenceTrimmer
from kani.text.languages import primary

if TYPE_CHECKING:
    from kani.engines.pocket.model import Language, PocketModel
    from kani.engines.pocket.scheduler import Scheduler
    from kani.engines.pocket.stream import Utterance
    from kani.engines.pocket.transformer import KeyValueCache

ENGINE = "pocket"
THREADS = 1
"""Cores for one step, beside the one of the codec, unless KANI_THREADS names another number."""

AUDIBLE = 0.004
"""A peak below this (−48 dB of full scale) is silence."""

_TEMPERATURE = 0.3
_SEGMENTS_PER_SLOT = 2

logger = logging.getLogger(__name__)


class PocketEngine:
    """Models of several languages with one codec, many voices in one batch."""

    def __init__(self, settings: PocketSettings, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        self._model: PocketModel | None = None
        self._scheduler: Scheduler | None = None
        self._info: EngineInfo | None = None
        self._embedder = RecordingEmbedder("Pocket")

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load the models, which takes seconds. Raises EngineUnavailable."""
        pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        try:
            self._model = await asyncio.get_running_loop().run_in_executor(pool, self._load)
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)
        from kani.engines.pocket.model import SAMPLE_RATE
        from kani.engines.pocket.scheduler import Scheduler

        self._info = self._describe(self._model)
        self._scheduler = Scheduler(
            self._model.codec,
            slots=self._settings.slots,
            sample_rate=SAMPLE_RATE,
            threads=self._resources.threads or THREADS,
        )
        self._scheduler.start()

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        await self._embedder.stop()
        if self._scheduler is not None:
            await asyncio.to_thread(self._scheduler.stop)
        self._scheduler = self._model = None

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each frame of 80 ms, or a few where decoding is behind.

        The last chunk carries the segment's one span. Raises EngineFailed where the model produced no speech
        for the text, or failed, and InvalidRequest for ``reference`` where the segment's embedding was not
        made by this engine.
        """
        model = self._model
        if model is None:
            raise EngineFailed("the Pocket engine is not running")
        from kani.engines.pocket import text
        from kani.engines.pocket.model import FRAME_S, SAMPLE_RATE

        language = model.languages.get(primary(segment.language))
        if language is None:
            raise EngineFailed(f"the Pocket engine has no model of {segment.language}")
        voice = await self._voice_of(model, language, segment)
        trim = SilenceTrimmer(SAMPLE_RATE, AUDIBLE)
        made = 0
        remaining_s = segment.max_seconds
        for number, part in enumerate(text.split(segment.text, language.token_count)):
            if remaining_s < FRAME_S or not (written := text.prepare(part, language.replaced)):
                continue
            utterance = _utterance(language, voice, written, segment, number, remaining_s)
            async with aclosing(self._generate(utterance)) as spoken:
                async for samples in spoken:
                    remaining_s -= len(samples) / SAMPLE_RATE
                    heard = trim.feed(samples)
                    if len(heard):
                        yield SpeechChunk(heard, SAMPLE_RATE, made / SAMPLE_RATE)
                        made += len(heard)
        if not made:
            raise EngineFailed("the Pocket model could not speak this text: there was no voice")
        rest = trim.finish()
        spans = (Span(0, len(segment.text), 0.0, (made + len(rest)) / SAMPLE_RATE),)
        yield SpeechChunk(rest, SAMPLE_RATE, made / SAMPLE_RATE, spans)

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``; of the first 10 s, one recording after the other."""
        model = self._model
        if model is None or not model.cloning_model:
            raise EngineFailed("the Pocket engine is not running, or does not clone")
        from kani.engines.pocket.recording import latents_of

        size = next(iter(model.languages.values())).model.latent_size
        values = await self._embedder.embed(recording, partial(latents_of, model.codec, size))
        return Embedding(ENGINE, model.cloning_model, values)

    async def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``CloningEngine.refine``; yields nothing: the model was trained with just these latents."""
        better: tuple[Embedding, ...] = ()
        for one in better:
            yield one

    async def _voice_of(self, model: PocketModel, language: Language, segment: Segment) -> KeyValueCache:
        """The voice of a segment. Raises InvalidRequest for an embedding that is not the model's."""
        embedding = segment.embedding
        if embedding is None:
            name = segment.voice.partition(":")[2]
            return language.voices.get(name) or next(iter(language.voices.values()))
        if not language.clones:
            raise InvalidRequest("reference", f"this Pocket model of {language.tag} does not clone voices")
        if (embedding.engine, embedding.model) != (ENGINE, model.cloning_model):
            raise InvalidRequest("reference", "the embedding was made by another model")
        values = np.asarray(embedding.values, np.float32)
        size = language.model.latent_size
        if values.ndim != 1 or not len(values) or len(values) % size or not np.isfinite(values).all():
            raise InvalidRequest("reference", f"an embedding has finite numbers, a multiple of {size}")
        import torch

        return await asyncio.to_thread(language.voice_of, torch.from_numpy(values.reshape(-1, size).copy()))

    async def _generate(self, utterance: Utterance) -> AsyncGenerator[Samples, None]:
        """Yield the audio of an utterance as it is decoded; closed early, returns once its slot is free."""
        from kani.engines.pocket.stream import Ending

        scheduler = self._scheduler
        if scheduler is None:
            raise EngineFailed("the Pocket engine is not running")
        async with aclosing(speak(scheduler, utterance, Ending)) as events:
            async for event in events:
                if not isinstance(event, Ending):
                    yield event
                elif event is not Ending.FINISHED:
                    raise EngineFailed(f"the Pocket engine failed: the stream was {event.value}")

    def _load(self) -> PocketModel:
        try:
            from kani.engines.pocket.model import load
            from kani.runtime.errors import CheckpointError, DeviceError
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"the Pocket engine needs {error.name}: " + install_command("pocket", "requirements-kani.txt")
            ) from error
        settings = self._settings
        try:
            return load(
                settings.languages,
                settings.model,
                precision=settings.precision,
                cache=self._resources.cache_dir,
                may_fetch=self._resources.may_fetch,
                report=logger.info,
            )
        except (CheckpointError, DeviceError) as error:
            raise EngineUnavailable(
                f"the Pocket engine cannot start: {error} (--engine auto starts without it)"
            ) from error

    def _describe(self, model: PocketModel) -> EngineInfo:
        voices: dict[str, Voice] = {}
        defaults = {}
        for tag, language in model.languages.items():
            defaults[tag] = f"{ENGINE}:{next(iter(language.voices))}"
            for name in language.voices:
                voices.setdefault(
                    name, Voice(f"{ENGINE}:{name}", name.replace("_", " ").title(), tag, ENGINE)
                )
        return EngineInfo(
            name=ENGINE,
            version=f"{'+'.join(model.languages)}, {model.precision}",
            sample_rate=24_000,
            voices=tuple(voices.values()),
            default_voices=defaults,
            # A freed slot is filled within a step, without waiting for the core to hand over another segment.
            max_concurrency=_SEGMENTS_PER_SLOT * self._settings.slots,
            speed_range=(1.0, 1.0),
            supported_fields=frozenset({"temperature", "seed"}),
            streams_inside_segment=True,
            times_words=False,
            cloning="embedding" if model.cloning_model else "none",
            embedding_model=model.cloning_model,
        )


def _utterance(
    language: Language,
    voice: KeyValueCache,
    written: str,
    segment: Segment,
    number: int,
    remaining_s: float,
) -> Utterance:
    from kani.engines.pocket import text
    from kani.engines.pocket.model import FRAME_S
    from kani.engines.pocket.stream import Utterance

    tokens = language.tokens(written)
    wanted = segment.sampling
    seed = secrets.randbits(63) if wanted.seed is None else wanted.seed + number
    return Utterance(
        language=language.model,
        voice=voice,
        tokens=tuple(tokens),
        # One frame more than fits, where possible: by that the core knows that speech was cut.
        max_frames=min(text.max_frames(len(tokens)), math.ceil(remaining_s / FRAME_S - 1e-6) + 1),
        frames_after_end=text.frames_after_end(written),
        temperature=_TEMPERATURE if wanted.temperature is None else wanted.temperature,
        seed=seed,
    )
