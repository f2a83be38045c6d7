"""Pitch and pitch range of a prosody, rendered by espeak-ng."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
import soxr

from benchmarks.kokoro.measures import pitch
from kani.core.types import NEUTRAL, Prosody, Samples, Segment
from kani.engines.espeak.engine import EspeakEngine, pitch_parameters
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE

TEXTS = {
    "es": "Mis primos viven en una casa de madera junto al faro.",
    "ar": "مرحبا، كيف حالك اليوم يا صديقي العزيز؟",
}


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    started = EspeakEngine()
    asyncio.run(started.start())
    yield started
    asyncio.run(started.stop())


async def said(engine: EspeakEngine, language: str, prosody: Prosody) -> Samples:
    segment = Segment(TEXTS[language], f"espeak:{language}", language, prosody=prosody)
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])


def semitones(samples: Samples, rate: int) -> tuple[float, float]:
    """Median, and distance of the 10th from the 90th percentile."""
    found = pitch(np.asarray(soxr.resample(samples, rate, SAMPLE_RATE), np.float32))
    low, middle, high = np.percentile(12 * np.log2(found[~np.isnan(found)]), (10, 50, 90))
    return float(middle), float(high - low)


def test_neutral_prosody_is_the_voices_own() -> None:
    assert pitch_parameters(NEUTRAL) == (50, 50)


@pytest.mark.parametrize(
    "prosody", [Prosody(pitch=99.0, pitch_range=9.0), Prosody(pitch=-99.0, pitch_range=0.1)]
)
def test_parameters_stay_within_the_librarys_range(prosody: Prosody) -> None:
    assert all(0 <= number <= 99 for number in pitch_parameters(prosody))


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize(
    "prosody",
    [
        Prosody(pitch=2.0, pitch_range=1.4),
        Prosody(pitch=-2.0, pitch_range=0.6),
        Prosody(pitch=3.5, pitch_range=1.6),
        Prosody(pitch=1.0),
    ],
)
async def test_prosody_is_rendered(engine: EspeakEngine, language: str, prosody: Prosody) -> None:
    """The pitch within 0.6 semitones, the range within three tenths."""
    rate = engine.info.sample_rate
    plain = semitones(await said(engine, language, NEUTRAL), rate)
    level, spread = semitones(await said(engine, language, prosody), rate)
    assert level - plain[0] == pytest.approx(prosody.pitch, abs=0.6)
    assert spread / plain[1] == pytest.approx(prosody.pitch_range, rel=0.3)
    assert engine.info.native_prosody == {"pitch", "pitch_range"}
