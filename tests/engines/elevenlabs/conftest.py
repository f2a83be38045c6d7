"""The ElevenLabs engine against the recorded service on this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from kani.core.audio.pcm import pcm16
from kani.core.engine import Engine
from kani.core.types import Boundary, Segment, SpeechChunk
from kani.engines.elevenlabs.engine import ElevenLabsEngine
from kani.engines.elevenlabs.plugin import UpstreamSettings
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import VERBATIM
from kani_text.segmenter import TextSegment
from tests.engines.relaying import relaying
from tests.support.elevenlabs_service import KEY, LETTER_S, VOICE, ElevenLabsService, running
from tests.support.patience import WITHIN_S

ID = f"elevenlabs:{VOICE}"
TEXT = "Hello there, it is 21 degrees. مَرحبا!"
LONG = "One two three four five six seven eight nine ten, and then eleven twelve thirteen fourteen fifteen."


@pytest.fixture
async def service() -> AsyncIterator[ElevenLabsService]:
    async with running() as started:
        yield started


class Typing:
    """A text that is being written; ``waits`` is set while the engine's slot is lent."""

    def __init__(self, text: str) -> None:
        self.waits = asyncio.Event()
        self.text = IncrementalText(TextSegment(0, text), self._lend_slot, VERBATIM)

    def add(self, text: str, boundary: Boundary | None = None) -> None:
        self.waits.clear()
        self.text.extend(text)
        if boundary is not None:
            self.text.close(boundary)

    @asynccontextmanager
    async def _lend_slot(self) -> AsyncIterator[None]:
        self.waits.set()
        yield


def new_engine(
    settings: UpstreamSettings, fallback: Engine | None = None, registry: Any = None, timeout_s: float = 10.0
) -> ElevenLabsEngine:
    return ElevenLabsEngine(settings, relaying(fallback, registry), timeout_s=timeout_s)


def account(**settings: Any) -> UpstreamSettings:
    return UpstreamSettings(**{"api_key": KEY, "voice_id": VOICE, **settings})


@asynccontextmanager
async def started(
    service: ElevenLabsService, *parts: Any, timeout_s: float = 10.0, **settings: Any
) -> AsyncIterator[ElevenLabsEngine]:
    """The engine, started; parts: a fallback and a registry of metrics."""
    chosen = account(**{"url": service.url, **settings})
    engine = new_engine(chosen, *parts, timeout_s=timeout_s)
    await engine.start()
    yield engine
    await engine.stop()


def counted(registry: CollectorRegistry, counter: str) -> dict[str, float]:
    """Values of a counter with one label, by the label's value."""
    return {
        "".join(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"{counter}_total"
    }


async def said(engine: ElevenLabsEngine, text: str = TEXT, **segment: Any) -> list[SpeechChunk]:
    async with asyncio.timeout(WITHIN_S):
        return [chunk async for chunk in engine.synthesize(Segment(text, ID, "en", **segment))]


async def said_while_written(
    engine: ElevenLabsEngine, typing: Typing, language: str = "en"
) -> list[SpeechChunk]:
    segment = Segment(typing.text.text, ID, language)
    async with asyncio.timeout(WITHIN_S), aclosing(engine.stream(segment, typing.text)) as speech:
        return [chunk async for chunk in speech]


def audio_of(chunks: list[SpeechChunk]) -> bytes:
    """All samples, as they came over the line."""
    return b"".join(pcm16(chunk.samples) for chunk in chunks)


def words_of(text: str, chunks: list[SpeechChunk]) -> list[tuple[str, int, int]]:
    """Each word with its times in milliseconds."""
    spans = [span for chunk in chunks for span in chunk.spans]
    times = [(round(span.start_s * 1000), round(span.end_s * 1000)) for span in spans]
    return [(text[span.start : span.end], *at) for span, at in zip(spans, times, strict=True)]


def expected_words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text as ``tone`` says them; the space that the service adds is the last one's."""
    letter_ms = LETTER_S * 1000
    words, at = [], 0
    for word in text.split(" "):
        words.append((word, round(at * letter_ms), round((at + len(word)) * letter_ms)))
        at += len(word) + 1
    last, start, _ = words.pop()
    return [*words, (last, start, round(at * letter_ms))]


def assert_in_order(chunks: list[SpeechChunk], text: str) -> None:
    """Every word is there once, in order, within the audio, and the starts of its characters never fall."""
    spans = [span for chunk in chunks for span in chunk.spans]
    assert [text[span.start : span.end] for span in spans] == text.split()
    times = [time for span in spans for time in (span.start_s, *span.character_starts, span.end_s)]
    assert times == sorted(times) and times[-1] <= chunks[-1].end_s + 1e-6
    assert all(len(span.character_starts) == span.end - span.start for span in spans)
    assert all(one.end_s == pytest.approx(other.start_s) for one, other in pairwise(chunks))
