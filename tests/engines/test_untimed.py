"""Forced alignment of an engine without word times, within the service: espeak-ng, its times hidden."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kani.core.engine import EngineInfo
from kani.core.observer import Observer
from kani.core.service import SpeechService
from kani.core.types import Segment, Span, SpeechChunk, SpeechRequest
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.espeak.reference_voice import EspeakReferenceVoice
from tests.support.patience import WITHIN_S
from tests.support.sessions import collect, fed, spans_of, started

TEXT = "La abuela, que estaba sentada junto al fuego, contaba un cuento muy antiguo. Nadie la interrumpía."


class Untimed(EspeakEngine):
    """An engine without spans, of few speeds; ``hidden`` holds the spans."""

    hidden: list[Span]

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, times_words=False, speed_range=(0.9, 1.2))

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        self.hidden = []
        async for chunk in super().synthesize(segment):
            self.hidden += chunk.spans
            yield replace(chunk, spans=())


class NoEstimates(Observer):
    def timing_estimated(self, protocol: str, engine: str) -> None:
        pytest.fail("the times are estimates")


Served = tuple[SpeechService, Untimed]


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr("kani.core.timing.word_times.ALIGNMENT_TIMEOUT_S", WITHIN_S)
    engine, voice = Untimed(), EspeakReferenceVoice()
    async with started(tmp_path, engine, observer=NoEstimates(), reference_voice=voice) as service:
        yield service, engine


async def spoken(service: SpeechService, **request: object) -> tuple[list[Span], bool]:
    chosen = SpeechRequest(language="es", **request)  # type: ignore[arg-type]
    async with fed(service, TEXT, chosen) as session:
        return spans_of(await collect(session)), session.truncated


@pytest.mark.parametrize("speed", [0.8, 1.6])
async def test_alignment_finds_the_words(served: Served, speed: float) -> None:
    """Each word of the second sentence begins at the engine's own time."""
    service, engine = served
    spans, _ = await spoken(service, speed=speed)
    assert "".join(TEXT[span.start : span.end] for span in spans) == TEXT
    second = TEXT.index("Nadie")
    found = [span for span in spans if span.start >= second and TEXT[span.start].isalpha()]
    assert [TEXT[span.start : span.end] for span in found] == ["Nadie", "la", "interrumpía"]
    since = np.array([span.start_s - found[0].start_s for span in found])
    factor = speed / np.clip(speed, *engine.info.speed_range)
    truth = np.array([(span.start_s - engine.hidden[-3].start_s) / factor for span in engine.hidden[-3:]])
    assert since == pytest.approx(truth, abs=0.09)
    assert all(len(span.character_starts) == span.end - span.start for span in found)


async def test_words_of_truncated_speech_keep_their_times(served: Served) -> None:
    whole, _ = await spoken(served[0])
    cut, truncated = await spoken(served[0], max_tokens=100)
    assert truncated
    first = TEXT.index(".") + 1
    timed, short = (
        [each for each in spans if each.character_starts and each.start < first] for spans in (whole, cut)
    )
    said = [span for span in timed if span.end_s < 1.7]
    assert len(said) >= 4
    for full, own in zip(said, short, strict=False):
        assert (full.start, full.end) == (own.start, own.end)
        assert full.start_s == pytest.approx(own.start_s, abs=0.08)
