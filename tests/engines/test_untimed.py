"""Forced alignment of an engine without word times, within the service: Kokoro, its times hidden."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.engine import EngineInfo
from kani.core.observer import Observer
from kani.core.service import SpeechService
from kani.core.types import Segment, Span, SpeechChunk, SpeechRequest
from kani.engines.espeak.reference_voice import EspeakReferenceVoice
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from tests.support.sessions import collect, fed, started

# Loads Kokoro.
pytestmark = pytest.mark.heard
TEXT = "La abuela, que estaba sentada junto al fuego, contaba un cuento muy antiguo. Nadie la interrumpía."


class UntimedKokoro(KokoroEngine):
    """Kokoro without its spans; ``hidden`` holds them."""

    hidden: list[Span]

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, times_words=False, accepts_partial_text=False)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        self.hidden = []
        async for chunk in super().synthesize(segment):
            self.hidden += chunk.spans
            yield replace(chunk, spans=())


class Estimates(Observer):
    count = 0

    def timing_estimated(self, protocol: str, engine: str) -> None:
        self.count += 1


@pytest.fixture
async def service(
    cache: Path, tmp_path: Path
) -> AsyncIterator[tuple[SpeechService, UntimedKokoro, Estimates]]:
    engine = UntimedKokoro(KokoroSettings(decoder="onnx"), Resources(cache))
    estimates = Estimates()
    async with started(
        tmp_path, engine, observer=estimates, reference_voice=EspeakReferenceVoice()
    ) as service:
        yield service, engine, estimates


async def spoken(service: SpeechService, **request: object) -> tuple[list[SpeechChunk], bool]:
    chosen = SpeechRequest(language="es", **request)  # type: ignore[arg-type]
    async with fed(service, TEXT, chosen) as session:
        return await collect(session), session.truncated


@pytest.mark.parametrize("speed", [0.8, 1.6])
async def test_alignment_finds_the_words(
    service: tuple[SpeechService, UntimedKokoro, Estimates], speed: float
) -> None:
    """Each word of the second sentence begins at the engine's own time; nothing is estimated."""
    core, engine, estimates = service
    chunks, _ = await spoken(core, speed=speed)
    spans = [span for chunk in chunks for span in chunk.spans]
    assert "".join(TEXT[span.start : span.end] for span in spans) == TEXT
    second = TEXT.index("Nadie")
    found = [span for span in spans if span.start >= second and TEXT[span.start].isalpha()]
    assert [TEXT[span.start : span.end] for span in found] == ["Nadie", "la", "interrumpía"]
    since = np.array([span.start_s - found[0].start_s for span in found])
    factor = speed / min(max(speed, engine.info.speed_range[0]), engine.info.speed_range[1])
    truth = np.array([(span.start_s - engine.hidden[-3].start_s) / factor for span in engine.hidden[-3:]])
    assert since == pytest.approx(truth, abs=0.09)
    assert estimates.count == 0 and all(len(span.character_starts) == span.end - span.start for span in found)


async def test_words_of_truncated_speech_keep_their_times(
    service: tuple[SpeechService, UntimedKokoro, Estimates],
) -> None:
    core, _, estimates = service
    whole, _ = await spoken(core)
    cut, truncated = await spoken(core, max_tokens=100)
    assert truncated and estimates.count == 0
    first = TEXT.index(".") + 1
    timed = [
        [span for chunk in chunks for span in chunk.spans if span.character_starts and span.start < first]
        for chunks in (whole, cut)
    ]
    said = [span for span in timed[0] if span.end_s < 1.7]
    assert len(said) >= 4
    for full, short in zip(said, timed[1], strict=False):
        assert (full.start, full.end) == (short.start, short.end)
        assert full.start_s == pytest.approx(short.start_s, abs=0.08)
