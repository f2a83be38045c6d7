"""The Kani model as an engine of the speech core.

``kani/engines/kani/model/`` imports torch, so this module imports it only when the engine starts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from kani.core.engine import Cloning, Described, EngineInfo
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest, NoSpeech
from kani.core.types import Embedding, Recording, Samples, Segment, SpeechChunk
from kani.engines.kani.plugin import KaniSettings
from kani.engines.kani.voices import KaniVoices
from kani.engines.plugin import VOICES, Resources
from kani.runtime.cancelling import wait_until_done
from kani.runtime.extras import install_command
from kani.runtime.recorded_speech import speech_of
from kani.runtime.silence_trim import TrimmedSpeech
from kani_text.boundaries import weight

if TYPE_CHECKING:
    from kani.engines.kani.model.loader import KaniModel
    from kani.engines.kani.model.sequence import End, Utterance
    from kani.engines.kani.model.speaker_encoder import SpeakerEmbedder

ENGINE = "kani"
DEFAULT_MODEL = "nineninesix/kani-tts-370m"
DEFAULT_MODELS = {"es": "nineninesix/kani-tts-400m-es"}
"""Checkpoints of servers with a language of their own, by its primary subtag."""

_WEIGHT_PER_SECOND = 13.0
_SEGMENTS_PER_SLOT = 2
_NICENESS = 10

logger = logging.getLogger(__name__)


class KaniEngine(Described):
    """A Kani checkpoint with NanoCodec, many voices in one batch."""

    def __init__(self, settings: KaniSettings, resources: Resources) -> None:
        self._settings = settings
        self._resources = resources
        self._kani: KaniModel | None = None
        self._voices = KaniVoices(ENGINE, "", (), ())
        self._files: Mapping[str, Sequence[float]] = {}  # embeddings of the user's voices, by their names
        self._stopping = threading.Event()
        # One recording at a time: each takes all the cores that speech leaves.
        self._embedding = ThreadPoolExecutor(
            1, thread_name_prefix="kani-embedder", initializer=_lower_priority
        )

    async def start(self) -> None:
        """Load the model and warm it up, which takes seconds. Raises EngineUnavailable."""
        # A separate thread: OpenMP's helpers stay with the thread that warms up.
        pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        try:
            self._kani = await asyncio.get_running_loop().run_in_executor(pool, self._load)
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)
        self._info = self._describe(self._kani)
        self._mailbox = _Mailbox()
        self._kani.scheduler.start()

    async def stop(self) -> None:
        self._stopping.set()
        await asyncio.to_thread(self._embedding.shutdown)
        if self._kani is not None:
            await asyncio.to_thread(self._kani.scheduler.stop)
            self._kani = None

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for one frame at first, then for more and more.

        The last chunk carries the segment's one span. Raises EngineFailed where the model produced no speech
        for the text, or failed, and InvalidRequest for ``reference`` where the segment's embedding was not
        made by this engine.
        """
        kani = self._kani
        if kani is None:
            raise EngineFailed("the Kani engine is not running")
        speaker = self._speaker_of(segment.embedding) or self._files.get(segment.voice.partition(":")[2], ())
        speech = TrimmedSpeech(kani.sample_rate)
        remaining_s = segment.max_seconds
        for text, prompt in self._split(kani, segment, segment.text):
            utterance = _utterance(kani, text, prompt, speaker, segment, remaining_s)
            async with aclosing(_generate(kani, self._mailbox, utterance)) as spoken:
                async for samples in spoken:
                    remaining_s -= len(samples) / kani.sample_rate
                    if (chunk := speech.feed(samples)) is not None:
                        yield chunk
            if remaining_s < kani.frame_s:
                break
        if speech.end_s:
            yield speech.finish(len(segment.text))

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``; of the first 30 s, one recording after the other.

        Cancelled, it returns once the thread is free of it.
        """
        embedder = self._kani.embedder if self._kani is not None else None
        if embedder is None:
            raise EngineFailed("the Kani engine is not running, or does not clone")
        stop, ended = threading.Event(), EngineFailed("the Kani engine has been stopped")
        try:
            job = self._embedding.submit(
                _embed, embedder, recording, lambda: stop.is_set() or self._stopping.is_set()
            )
        except RuntimeError as error:
            raise ended from error
        work = asyncio.wrap_future(job)
        try:
            values = await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            # If still queued after another recording, there is nothing to wait for.
            if not job.cancel():
                with suppress(asyncio.CancelledError):
                    await wait_until_done(work)
            raise
        except RuntimeError as error:
            logger.exception("a recording could not be embedded")
            raise EngineFailed("the Kani engine could not embed the recording", logged=True) from error
        if not len(values):
            raise ended
        return Embedding(ENGINE, embedder.name, values)

    def _speaker_of(self, embedding: Embedding | None) -> tuple[float, ...]:
        """The speaker of a segment's embedding, of length 1; empty without one."""
        if embedding is None:
            return ()
        kani = self._kani
        if kani is None or kani.embedder is None:
            raise InvalidRequest("reference", "this Kani model does not support voice cloning")
        if (embedding.engine, embedding.model) != (ENGINE, kani.embedder.name):
            raise InvalidRequest("reference", "the embedding was made by another model")
        values = np.asarray(embedding.values, np.float64)
        length = np.linalg.norm(values)
        if values.shape != (kani.embedder.size,) or not np.isfinite(length) or length == 0:
            raise InvalidRequest(
                "reference", f"an embedding has {kani.embedder.size} numbers, not all of them 0"
            )
        return tuple((values / length).tolist())

    def _split(self, kani: KaniModel, segment: Segment, text: str) -> list[tuple[str, list[int]]]:
        """Split the text at spaces until the prompt of each part fits; returns (text, prompt) pairs."""
        own = segment.voice.partition(":")[2] in self._files
        cloned = segment.embedding is not None or own
        written = self._voices.prompt_text(text, None if cloned else segment.voice, segment.language)
        whole = kani.layout.prompt(kani.checkpoint.text_tokens(written))
        # A speaker replaces a token.
        if len(whole) + cloned <= kani.runner.max_prompt_tokens or len(text) < 2:
            return [(text, whole)]
        middle = len(text) // 2
        cut = text.rfind(" ", 1, middle) + 1 or middle
        return self._split(kani, segment, text[:cut]) + self._split(kani, segment, text[cut:])

    def _load(self) -> KaniModel:
        try:
            from kani.engines.kani.model.loader import DEFAULT_CODEC, DEFAULT_EMBEDDER, load, read_voices
            from kani.runtime.errors import CheckpointError, DeviceError, OutOfMemory
            from kani.runtime.model_names import local_path
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"the Kani engine needs {error.name}: " + install_command("kani", "requirements/kani.txt")
            ) from error
        settings, resources = self._settings, self._resources
        default = DEFAULT_MODELS.get(resources.language or "", DEFAULT_MODEL)
        try:
            kani = load(
                resources.model or default,
                settings.codec or DEFAULT_CODEC,
                settings.embedder or DEFAULT_EMBEDDER,
                resources=resources,
                report=logger.info,
            )
            if resources.voices is not None:
                size = kani.checkpoint.config.speaker_size
                if not size:
                    raise CheckpointError(f"{VOICES}: only KaniTTS-2 has voices in files")
                self._files = read_voices(local_path(resources.voices), size)
            return kani
        except (CheckpointError, DeviceError, OutOfMemory) as error:
            raise EngineUnavailable(
                f"the Kani engine cannot start: {error} (--engine auto starts without it)"
            ) from error

    def _describe(self, kani: KaniModel) -> EngineInfo:
        checkpoint = kani.checkpoint
        voices = KaniVoices(
            *(ENGINE, kani.name, checkpoint.speakers, checkpoint.language_tags),
            *(checkpoint.card_languages, list(self._files)),
        )
        self._voices = voices
        return EngineInfo(
            name=ENGINE,
            version=f"{kani.name}, {kani.precision}",
            sample_rate=kani.sample_rate,
            voices=voices.voices,
            default_voices=voices.default_voices,
            # A freed slot is filled within a step, without waiting for the core to hand over another segment.
            max_concurrency=_SEGMENTS_PER_SLOT * kani.runner.slots,
            speed_range=(1.0, 1.0),
            supported_fields=frozenset({"temperature", "top_p", "top_k", "repetition_penalty", "seed"}),
            streams_inside_segment=True,
            times_words=False,
            cloning=Cloning("embedding", kani.embedder.name) if kani.embedder is not None else Cloning(),
        )


def _embed(embedder: SpeakerEmbedder, recording: Recording, stopped: Callable[[], bool]) -> Samples:
    """The embedding of a recording; empty if cancelled."""
    from kani.engines.kani.model.speaker_encoder import MAX_RECORDING_S, SAMPLE_RATE, EmbeddingCancelled

    samples = speech_of(recording, MAX_RECORDING_S, SAMPLE_RATE)
    try:
        return embedder.embed(samples, stopped)
    except ValueError as error:
        raise NoSpeech() from error
    except EmbeddingCancelled:
        return np.zeros(0, np.float32)


def _lower_priority() -> None:
    """Lower the thread's priority below that of speech: on Linux each thread has a niceness of its own."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Never raise it: that needs privileges.
        os.setpriority(os.PRIO_PROCESS, thread, max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def _utterance(
    kani: KaniModel,
    text: str,
    prompt: list[int],
    speaker: Sequence[float],
    segment: Segment,
    remaining_s: float,
) -> Utterance:
    from kani.engines.kani.model.sampler import Sampling
    from kani.engines.kani.model.sequence import Utterance

    given = {name: value for name, value in asdict(segment.sampling).items() if value is not None}
    if "top_p" in given:
        # 0 leaves one candidate, as the smallest share does.
        given["top_p"] = max(given["top_p"], 1e-6)
    sampling = Sampling(**{"top_k": kani.checkpoint.top_k, "seed": secrets.randbits(63)} | given)
    # One frame more than fits, where possible: by that the core knows that speech was cut.
    frames = min(math.ceil(remaining_s / kani.frame_s - 1e-6) + 1, kani.runner.max_frames)
    expected_s = max(weight(text) / _WEIGHT_PER_SECOND, 0.5)
    return Utterance(tuple(prompt), sampling, frames, expected_s, segment.request_id, tuple(speaker))


class _Mailbox:
    """Hands events of the scheduler's thread over to the event loop, which it wakes once for many."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._events: deque[tuple[asyncio.Queue[Samples | End], Samples | End]] = deque()

    def put(self, queue: asyncio.Queue[Samples | End], event: Samples | End) -> None:
        """Put an event into a queue of the event loop, from the other thread."""
        self._events.append((queue, event))
        # With others before it the loop has been woken, and takes this one too.
        if len(self._events) == 1:
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        while self._events:
            queue, event = self._events.popleft()
            queue.put_nowait(event)


async def _generate(
    kani: KaniModel, mailbox: _Mailbox, utterance: Utterance
) -> AsyncGenerator[Samples, None]:
    """Yield the audio of an utterance as it is decoded; closed early, returns once its slot is free."""
    from kani.engines.kani.model.sequence import End, Ending

    events: asyncio.Queue[Samples | End] = asyncio.Queue()

    async def wait_for_end() -> None:
        while not isinstance(await events.get(), End):
            pass

    sequence = kani.scheduler.submit(utterance, partial(mailbox.put, events))
    heard, end = False, None
    try:
        while end is None:
            event = await events.get()
            if isinstance(event, End):
                end = event
            else:
                kani.scheduler.acknowledge(sequence, len(event))
                heard = True
                yield event
    finally:
        if end is None:
            kani.scheduler.cancel(sequence)
            await wait_until_done(asyncio.ensure_future(wait_for_end()))
    match end.ending:
        case Ending.FAILED | Ending.CANCELLED:
            raise EngineFailed(f"the Kani engine failed: {end.detail or end.ending.value}")
        case Ending.ANOMALY if not heard:
            raise EngineFailed(f"the Kani model could not speak this text: {end.detail}")
