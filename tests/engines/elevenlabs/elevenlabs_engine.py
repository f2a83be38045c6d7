"""The ElevenLabs engine in tests: started against the service, given texts, its speech looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from engines.elevenlabs.engine import ElevenLabsEngine, ElevenLabsUpstream
from engines.elevenlabs.meter import UpstreamMeter
from speech.audio.pcm import pcm16
from speech.engine import Engine
from speech.text.incremental_text import IncrementalText
from speech.text.normalizer import VERBATIM
from speech.text.segmenter import OpenTextSegment
from speech.types import Boundary, Segment, SpeechChunk
from tests.support.elevenlabs_service import KEY, LETTER_S, VOICE, ElevenLabsService

ID = f"elevenlabs:{VOICE}"
TEXT = "Hello there, it is 21 degrees. مَرحبا!"
LONG = "One two three four five six seven eight nine ten, and then eleven twelve thirteen fourteen fifteen."
WITHIN_S = 300.0


class Counts(UpstreamMeter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self.stand_ins: list[str] = []

    def count_failure(self, code: str) -> None:
        """A failure."""
        self.failures.append(code)

    def count_fallback(self, engine: str) -> None:
        """A segment of another's."""
        self.stand_ins.append(engine)


class Typing:
    """A text that is being written; ``waits`` is set while the engine's place is lent."""

    def __init__(self, text: str) -> None:
        self.waits = asyncio.Event()
        self.written = IncrementalText(OpenTextSegment(0, text), self._rest, VERBATIM)

    def add(self, text: str, boundary: Boundary | None = None) -> None:
        """Write more."""
        self.waits.clear()
        self.written.extend(text)
        if boundary is not None:
            self.written.close(boundary)

    @asynccontextmanager
    async def _rest(self) -> AsyncIterator[None]:
        self.waits.set()
        yield


@asynccontextmanager
async def started(
    service: ElevenLabsService,
    fallback: Engine | None = None,
    meter: UpstreamMeter | None = None,
    **settings: Any,
) -> AsyncIterator[ElevenLabsEngine]:
    """The engine, started."""
    chosen = replace(ElevenLabsUpstream(KEY, VOICE, base_url=service.url), **settings)
    engine = ElevenLabsEngine(chosen, fallback, meter)
    await engine.start()
    yield engine
    await engine.stop()


async def said(engine: ElevenLabsEngine, text: str = TEXT, **segment: Any) -> list[SpeechChunk]:
    """All chunks of a text, in time."""
    async with asyncio.timeout(WITHIN_S):
        return [chunk async for chunk in engine.synthesize(Segment(text, ID, "en", **segment))]


def audio_of(chunks: list[SpeechChunk]) -> bytes:
    """All samples, as they came over the line."""
    return b"".join(pcm16(chunk.samples) for chunk in chunks)


def words_of(text: str, chunks: list[SpeechChunk]) -> list[tuple[str, int, int]]:
    """Each word with its times in milliseconds."""
    spans = [span for chunk in chunks for span in chunk.spans]
    return [
        (text[span.start : span.end], round(span.start_s * 1000), round(span.end_s * 1000)) for span in spans
    ]


def expected_words(text: str) -> list[tuple[str, int, int]]:
    """The words of a text as ``tone`` says them; the space that the service adds is the last one's."""
    letter_ms = LETTER_S * 1000
    words, at = [], 0
    for word in text.split(" "):
        words.append((word, round(at * letter_ms), round((at + len(word)) * letter_ms)))
        at += len(word) + 1
    last, start, _ = words.pop()
    return [*words, (last, start, round(at * letter_ms))]


def in_order(chunks: list[SpeechChunk], text: str) -> None:
    """Every word is there once, in order, within the audio, and its marks do not fall."""
    spans = [span for chunk in chunks for span in chunk.spans]
    assert [text[span.start : span.end] for span in spans] == text.split()
    times = [time for span in spans for time in (span.start_s, *span.character_starts, span.end_s)]
    assert times == sorted(times) and times[-1] <= chunks[-1].end_s + 1e-6
    assert all(len(span.character_starts) == span.end - span.start for span in spans)
    assert all(one.end_s == pytest.approx(other.start_s) for one, other in pairwise(chunks))
