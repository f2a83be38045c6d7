"""The Kani model as an engine of the speech core: text in, the codec's samples out.

All of the model is in ``kani/``, which imports torch; so this imports it only when it starts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engines.cancelling import outlast
from engines.silence import SilenceTrim
from speech.engine import EngineInfo
from speech.errors import EngineFailed, EngineUnavailable
from speech.languages import primary
from speech.segmenter import weight
from speech.types import Samples, Segment, Span, SpeechChunk, Voice

if TYPE_CHECKING:
    from kani.assemble import Kani
    from kani.stream import End, Utterance

ENGINE = "kani"
LANGUAGES = ("es", "en", "de", "zh", "ko", "ar")
"""What kani-tts-370m was trained on, Spanish first; a checkpoint that ends in one of them speaks that one."""

# By the makers' pages. A checkpoint names its speakers itself, but not what they speak.
_SPEAKERS = {
    "ar": "karim nur",
    "de": "bert thorsten",
    "en": "andrew david jenny katie kore puck simon",
    "es": "ash ballad maria nova",
    "ko": "seulgi",
    "zh": "mei ming",
}
_WEIGHT_A_SECOND = 13.0
_PLACES_A_SLOT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KaniSettings:
    """model: a checkpoint's folder or its name on a hub; codec: a .nemo file or a hub's name; device: auto,
    cpu, cuda or cuda:N; precision: auto, float32, bfloat16 or int8; slots: streams at once; threads: of the
    CPU. None is the model's own default."""

    model: str | None = None
    codec: str | None = None
    device: str = "auto"
    precision: str = "auto"
    slots: int | None = None
    threads: int | None = None


class KaniEngine:
    """A Kani checkpoint with NanoCodec, many voices in one batch."""

    def __init__(self, settings: KaniSettings, *, cache_dir: Path) -> None:
        """cache_dir: where fetched and built files are kept."""
        self._settings = settings
        self._cache = cache_dir / "kani"
        self._kani: Kani | None = None
        self._info: EngineInfo | None = None
        self._speakers: dict[str, str] = {}

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load the model and warm it up, which takes seconds. Raises EngineUnavailable."""
        # A thread of its own: OpenMP's helpers of the thread that warms up stay with it.
        with ThreadPoolExecutor(1, thread_name_prefix=ENGINE) as pool:
            self._kani = await asyncio.get_running_loop().run_in_executor(pool, self._load)
        self._info = self._described(self._kani)
        self._kani.scheduler.start()

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        if self._kani is not None:
            await asyncio.to_thread(self._kani.scheduler.stop)
            self._kani = None

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for one frame at first, then for more and more.

        The last chunk carries the segment's one span. Raises EngineFailed where the model found no
        words for the text, or broke.
        """
        kani = self._kani
        if kani is None:
            raise EngineFailed("the Kani engine is not running")
        from kani.watch import AUDIBLE

        trim = SilenceTrim(kani.sample_rate, AUDIBLE)
        made = 0
        room_s = segment.max_seconds
        for text, prompt in _pieces(kani, segment.text, self._speakers[segment.voice]):
            utterance = _utterance(kani, text, prompt, segment, room_s)
            async with aclosing(_spoken(kani, utterance)) as spoken:
                async for samples in spoken:
                    heard = trim.feed(samples)
                    room_s -= len(samples) / kani.sample_rate
                    if len(heard):
                        yield SpeechChunk(heard, kani.sample_rate, made / kani.sample_rate)
                        made += len(heard)
            if room_s < kani.frame_s:
                break
        rest = trim.finish()
        end_s = (made + len(rest)) / kani.sample_rate
        if made:
            spans = (Span(0, len(segment.text), 0.0, end_s),)
            yield SpeechChunk(rest, kani.sample_rate, made / kani.sample_rate, spans)

    def _load(self) -> Kani:
        try:
            from kani.assemble import CODEC, MODEL, assemble
            from kani.errors import CheckpointError, DeviceError, OutOfMemory
        except ModuleNotFoundError as error:
            raise EngineUnavailable(
                f"the Kani engine needs {error.name}: pip install -r requirements.txt"
            ) from error
        settings = self._settings
        try:
            return assemble(
                settings.model or MODEL,
                settings.codec or CODEC,
                device=settings.device,
                precision=settings.precision,
                slots=settings.slots,
                threads=settings.threads,
                cache=self._cache,
                told=logger.info,
            )
        except (CheckpointError, DeviceError, OutOfMemory) as error:
            raise EngineUnavailable(
                f"the Kani engine cannot start: {error} (--engine auto speaks without it)"
            ) from error

    def _described(self, kani: Kani) -> EngineInfo:
        spoken = {name: tag for tag, names in _SPEAKERS.items() for name in names.split()}
        languages = [tag for tag in LANGUAGES if kani.name.endswith(f"-{tag}")] or list(LANGUAGES)
        only = languages[0] if len(languages) == 1 else ""
        speakers = kani.checkpoint.speakers
        self._speakers = {f"{ENGINE}:{name}": name for name in speakers} or {f"{ENGINE}:{kani.name}": ""}
        voices = tuple(
            Voice(id, name or kani.name, spoken.get(name, only), ENGINE)
            for id, name in self._speakers.items()
        )
        own = {primary(voice.language): voice.id for voice in reversed(voices) if voice.language}
        return EngineInfo(
            name=ENGINE,
            version=f"{kani.name}, {kani.precision}",
            sample_rate=kani.sample_rate,
            voices=voices,
            default_voices={tag: own.get(tag, voices[0].id) for tag in languages},
            # A slot that is freed is filled within a turn, without waiting for a place to be handed on.
            places=_PLACES_A_SLOT * kani.runner.slots,
            speed_range=(1.0, 1.0),
            uses=frozenset({"temperature", "top_p", "top_k", "repetition_penalty", "seed"}),
            streams_inside_segment=True,
            timing=False,
        )


def _pieces(kani: Kani, text: str, speaker: str) -> list[tuple[str, list[int]]]:
    """The text and its prompt; more of both, cut at spaces, where a prompt does not hold all its tokens."""
    whole = kani.layout.prompt(kani.checkpoint.text_tokens(f"{speaker}: {text}" if speaker else text))
    if len(whole) <= kani.runner.longest_prompt or len(text) < 2:
        return [(text, whole)]
    middle = len(text) // 2
    cut = text.rfind(" ", 1, middle) + 1 or middle
    return _pieces(kani, text[:cut], speaker) + _pieces(kani, text[cut:], speaker)


def _utterance(kani: Kani, text: str, prompt: list[int], segment: Segment, room_s: float) -> Utterance:
    from kani.sampler import Sampling
    from kani.stream import Utterance

    wanted, default = segment.sampling, Sampling(top_k=kani.checkpoint.top_k)
    sampling = Sampling(
        temperature=default.temperature if wanted.temperature is None else wanted.temperature,
        # 0 leaves one candidate, as the smallest share does.
        top_p=default.top_p if wanted.top_p is None else max(wanted.top_p, 1e-6),
        top_k=default.top_k if wanted.top_k is None else wanted.top_k,
        repetition_penalty=(
            default.repetition_penalty if wanted.repetition_penalty is None else wanted.repetition_penalty
        ),
        seed=secrets.randbits(63) if wanted.seed is None else wanted.seed,
    )
    # One frame more than there is room for, where it fits: by that the core knows that it was cut.
    frames = min(math.ceil(room_s / kani.frame_s - 1e-6) + 1, kani.runner.longest_frames)
    expected_s = max(weight(text) / _WEIGHT_A_SECOND, 0.5)
    return Utterance(tuple(prompt), sampling, frames, expected_s, segment.request_id)


async def _spoken(kani: Kani, utterance: Utterance) -> AsyncGenerator[Samples, None]:
    """The audio of an utterance as it is made; when left early, returns once its slot is free."""
    from kani.stream import End, Ending

    loop = asyncio.get_running_loop()
    events: asyncio.Queue[Samples | End] = asyncio.Queue()

    def told(event: Samples | End) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    stream = kani.scheduler.submit(utterance, told)
    heard = ended = False
    try:
        while True:
            event = await events.get()
            if isinstance(event, End):
                ended = True
                break
            kani.scheduler.taken(stream, len(event))
            heard = True
            yield event
    finally:
        if not ended:
            kani.scheduler.cancel(stream)
            await outlast(asyncio.ensure_future(_end(events)))
    match event.ending:
        case Ending.FAILED | Ending.CANCELLED:
            raise EngineFailed(f"the Kani engine failed: {event.detail or event.ending.value}")
        case Ending.TROUBLE if not heard:
            raise EngineFailed(f"the Kani model could not say this text: {event.detail}")


async def _end(events: asyncio.Queue[Samples | End]) -> None:
    from kani.stream import End

    while not isinstance(await events.get(), End):
        pass
