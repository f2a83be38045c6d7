"""Pitch control: shift and range of the predicted F0 around the voice's log F0."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from benchmarks.kokoro.measures import pitch
from kani.core.audio.prosody_filter import split_prosody
from kani.core.emotions import EMOTIONS
from kani.core.types import NEUTRAL, Prosody, Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.incremental import IncrementalSentence
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.network.parts import PredictedProsody, log_f0_of
from kani.engines.kokoro.pitch_control import apply_pitch
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from tests.judges.judge import hear, word_error_rate

TEXT = "Mis primos viven en una casa de madera junto al faro."
EMPTY = np.zeros((1, 512, 0), np.float32)


def prosody(hertz: list[float]) -> PredictedProsody:
    curve = np.array([hertz], np.float32)
    return PredictedProsody(EMPTY, curve, np.zeros_like(curve), np.array([len(hertz) // 2]), log_f0_of(curve))


def own_part(emotion: str) -> Prosody:
    return split_prosody(EMOTIONS[emotion], frozenset({"pitch", "pitch_range"}))[0]


async def said(engine: KokoroEngine, wanted: Prosody, text: str = TEXT) -> Samples:
    segment = Segment(text, "ef_dora", "es", prosody=wanted)
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])


def semitones(samples: Samples) -> tuple[float, float]:
    found = pitch(samples)
    low, middle, high = np.percentile(12 * np.log2(found[~np.isnan(found)]), (10, 50, 90))
    return float(middle), float(high - low)


@pytest.mark.parametrize("wanted", [NEUTRAL, Prosody(rate=1.2, loudness=3.0, brightness=2.0, pauses=2.0)])
def test_neutral_pitch_returns_prediction_itself(wanted: Prosody) -> None:
    plain = prosody([9.0, 150.0, 180.0, 160.0])
    assert apply_pitch(plain, wanted, 5.0) is plain


@pytest.mark.parametrize("wanted", [Prosody(pitch=2.0), Prosody(pitch=-3.5)])
def test_voiced_pitch_is_shifted(wanted: Prosody) -> None:
    plain = prosody([9.0, 0.0, 80.0, 150.0, 180.0, 300.0])
    changed = apply_pitch(plain, wanted, float(np.log(165)))
    assert np.array_equal(changed.pitch[0, :2], plain.pitch[0, :2])
    moved = 12 * np.log2(changed.pitch[0, 2:] / plain.pitch[0, 2:])
    np.testing.assert_allclose(moved, wanted.pitch, atol=1e-4)
    assert changed.energy is plain.energy and changed.frames is plain.frames and changed.asr is plain.asr
    assert changed.pitch.dtype == np.float32


@pytest.mark.parametrize("wider", [0.6, 1.6])
def test_range_is_scaled_around_log_f0(wider: float) -> None:
    tone = float(np.log(165))
    plain = prosody([165.0, 140.0, 190.0, 220.0])
    changed = apply_pitch(plain, Prosody(pitch_range=wider), tone)
    np.testing.assert_allclose(np.log(changed.pitch) - tone, wider * (np.log(plain.pitch) - tone), atol=1e-5)


def test_dips_in_consonants_are_not_widened() -> None:
    hertz = [float(value) for value in np.geomspace(31, 600, 200)]
    changed = apply_pitch(prosody(hertz), Prosody(pitch_range=1.6), float(np.log(165))).pitch[0]
    assert np.all(np.diff(changed) > 0)
    assert np.abs(12 * np.log2(changed / np.array(hertz))).max() <= 0.6 * 6 + 1e-3


def test_log_f0_is_that_of_voiced_values() -> None:
    curve = [5.0, 9.0, 60.0, 90.0, 150.0, 160.0, 170.0]
    assert log_f0_of(np.array([curve], np.float32)) == pytest.approx(np.log(154))
    assert log_f0_of(np.array([[5.0, 0.0]], np.float32)) == pytest.approx(np.log(100))


def test_shipped_log_f0_matches_voices(engine: KokoroEngine) -> None:
    assert isinstance(engine._synthesizer, WindowedSynthesizer)
    tone = engine._synthesizer._statistics.log_f0
    assert all(70 < np.exp(tone(voice.id)) < 340 for voice in engine.info.voices)
    assert tone("am_onyx") < tone("am_michael") < tone("af_heart") < tone("if_sara")
    heard, _ = semitones(asyncio.run(said(engine, NEUTRAL)))
    assert 12 * tone("ef_dora") / np.log(2) == pytest.approx(heard, abs=1.5)


@pytest.mark.parametrize(
    "emotion",
    ["happy", "friendly", "excited", "sad"],
)
async def test_emotion_is_audible_and_intelligible(engine: KokoroEngine, emotion: str) -> None:
    wanted = own_part(emotion)
    plain, changed = await said(engine, NEUTRAL), await said(engine, wanted)
    (level, spread), (own_level, own_spread) = semitones(plain), semitones(changed)
    assert own_level - level == pytest.approx(wanted.pitch, abs=0.7)
    assert (own_spread > spread) == (wanted.pitch_range > 1)
    assert len(changed) == pytest.approx(len(plain), abs=1200)
    assert word_error_rate(TEXT, hear(changed, engine.info.sample_rate, "es"), "es") == 0


def test_growing_text_has_pitch_shift(engine: KokoroEngine) -> None:
    assert isinstance(engine._synthesizer, WindowedSynthesizer)
    words, higher = TEXT.split(), Prosody(pitch=2.0)
    pieces: dict[Prosody, list[Samples]] = {}
    for wanted in (NEUTRAL, higher):
        segment = Segment(TEXT, "ef_dora", "es", prosody=wanted)
        sentence = IncrementalSentence(engine._synthesizer, engine._reader("es"), segment)
        steps = [(" ".join(words[:count]), None) for count in (6, 9)] + [(TEXT, ".")]
        pieces[wanted] = [
            np.concatenate([heard.samples for heard in sentence.synthesize(text, ending, Stop())])
            for text, ending in steps
        ]
    moved = [
        semitones(own)[0] - semitones(plain)[0]
        for plain, own in zip(pieces[NEUTRAL], pieces[higher], strict=True)
    ]
    assert moved == pytest.approx([2.0] * 3, abs=0.7)


def test_native_prosody_is_pitch_only(engine: KokoroEngine) -> None:
    assert engine.info.native_prosody == {"pitch", "pitch_range"}
