"""Emotions as prosody, and prosody by filters: tempo, pitch, brightness and loudness of a stream."""

import math
from collections.abc import AsyncGenerator
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.audio.prosody_filter import (
    FILTERABLE,
    ProsodyFilter,
    SegmentFilter,
    split_prosody,
    split_speed,
)
from kani.core.emotions import EMOTIONS, MAX_LENGTH, prosody_of
from kani.core.errors import InvalidRequest
from kani.core.types import NEUTRAL, Prosody, Samples, Span, SpeechChunk
from tests.support.sessions import audio, spans_of

HAPPY, CALM = EMOTIONS["happy"], EMOTIONS["calm"]


def test_emotions_differ_in_documented_directions() -> None:
    assert list(EMOTIONS) == [
        *("neutral", "happy", "sad", "angry"),
        *("excited", "calm", "friendly", "professional"),
    ]
    for name in ("happy", "excited", "friendly"):
        lively = EMOTIONS[name]
        assert lively.pitch > 0 and lively.pitch_range > 1 and lively.rate > 1 and lively.brightness > 0
    for name in ("sad", "calm"):
        quiet = EMOTIONS[name]
        assert quiet.pitch < 0 and quiet.pitch_range < 1 and quiet.rate < 1 and quiet.loudness < 0
        assert quiet.pauses > 1 and quiet.brightness < 0
    for field in ("pitch", "pitch_range", "rate", "loudness"):
        strongest = max(EMOTIONS, key=lambda name: getattr(EMOTIONS[name], field))
        assert strongest == ("angry" if field == "loudness" else "excited")
    assert 0 < EMOTIONS["friendly"].pitch < HAPPY.pitch
    assert EMOTIONS["professional"].pitch < 0 and EMOTIONS["professional"].pitch_range < 1


@pytest.mark.parametrize("name", EMOTIONS)
def test_emotion_name_is_its_prosody_and_without_strength_neutral(name: str) -> None:
    assert prosody_of(name, None) == prosody_of(name, 1.0) == EMOTIONS[name]
    assert prosody_of(f" {name.upper()} : 1 ", None) == EMOTIONS[name]
    for emotion in (name, f"{name}:0.5,calm:0.5"):
        assert prosody_of(emotion, 0.0) == NEUTRAL
    for emotion in (None, "neutral", "neutral:0.3", "neutral, neutral:2"):
        assert prosody_of(emotion, None) == prosody_of(emotion, 0.5) == NEUTRAL, emotion


def test_strength_scales_and_a_blend_averages_prosody() -> None:
    half = prosody_of("happy", 0.5)
    assert half.pitch == pytest.approx(HAPPY.pitch / 2)
    assert half.loudness == pytest.approx(HAPPY.loudness / 2)
    assert half.rate == pytest.approx(math.sqrt(HAPPY.rate))
    assert half.pitch_range == pytest.approx(math.sqrt(HAPPY.pitch_range))
    blend = prosody_of("happy:0.25,calm:0.75", None)
    assert blend.pitch == pytest.approx(0.25 * HAPPY.pitch + 0.75 * CALM.pitch)
    assert blend.rate == pytest.approx(HAPPY.rate**0.25 * CALM.rate**0.75)
    assert blend.pauses == pytest.approx(HAPPY.pauses**0.25 * CALM.pauses**0.75)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("happy:0.5", "happy:0.5,neutral:0.5"),
        ("happy,calm", "happy:0.5,calm:0.5"),
        ("happy:3,calm:1", "happy:.75,calm:.25"),
        ("happy:0.25,calm:0.5,happy:0.25", "calm:0.5,happy:0.5"),
        ("happy:999999", "happy"),
    ],
)
def test_weights_are_normalized(one: str, other: str) -> None:
    assert astuple(prosody_of(one, None)) == pytest.approx(astuple(prosody_of(other, None)))


@pytest.mark.parametrize(
    ("emotion", "strength", "told"),
    [
        ("joyful", None, "unknown emotion 'joyful'.*known: neutral, happy"),
        ("happy:0.5,joyful:0.5", None, "unknown emotion 'joyful'"), ("", None, "'' is no"),
        ("happy,", None, "'' is no"), ("happy:", None, "'happy:' is no"),
        ("happy:-1", None, "'happy:-1' is no"), ("happy:nan", None, "'happy:nan' is no"),
        ("happy:1e3", None, "'happy:1e3' is no"), ("happy 0.5", None, "'happy 0.5' is no"),
        ("happy:0", None, "the weight of 'happy' must be above 0"),
        ("happy," * 40, None, f"at most {MAX_LENGTH} characters"),
        *(("neutral", strength, "between 0 and 1") for strength in (-0.1, 1.1, math.nan, math.inf)),
    ],
)  # fmt: skip
def test_invalid_emotion_or_strength_is_refused(emotion: str, strength: float | None, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        prosody_of(emotion, strength)
    assert caught.value.field == ("emotion" if strength is None else "emotion_strength")


RATE = 24_000
EXCITED, SAD = EMOTIONS["excited"], EMOTIONS["sad"]


def voiced(seconds: float = 2.0, hertz: float = 150.0, peak: float = 0.4) -> Samples:
    """A tone with harmonics and a loudness that rises and falls three times per second."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * hertz * n * time_s) / n for n in range(1, 20)) * (
        1 - np.cos(6 * np.pi * time_s)
    )
    return np.asarray(tone / np.abs(tone).max() * peak, np.float32)


def filtered(samples: Samples, factor: float, manner: Prosody = NEUTRAL, block: int = 6000) -> Samples:
    changed = ProsodyFilter(RATE, factor, manner)
    pieces = [changed.feed(samples[at : at + block]) for at in range(0, len(samples), block)]
    return np.concatenate([*pieces, changed.finish()])


def level_db(samples: Samples, low: float = 0.0, high: float = RATE / 2) -> float:
    power = np.square(np.abs(np.fft.rfft(samples)))
    hertz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(10 * np.log10(power[(low <= hertz) & (hertz < high)].sum() / len(samples) ** 2))


@pytest.mark.parametrize(
    "native", [frozenset(), FILTERABLE, frozenset({"pitch", "pitch_range"}), frozenset({"loudness"})]
)
def test_prosody_is_split_between_engine_and_filter(native: frozenset[str]) -> None:
    own, left = split_prosody(EXCITED, native)
    for field in ("pitch", "loudness", "brightness"):
        parts = (getattr(own, field), getattr(left, field))
        whole = getattr(EXCITED, field)
        assert parts == ((whole, 0.0) if field in native else (0.0, whole))
    assert own.pitch_range == (EXCITED.pitch_range if "pitch_range" in native else 1.0)
    assert left.pitch_range == 1.0
    assert (own.rate, own.pauses, left.rate, left.pauses) == (1.0, 1.0, 1.0, 1.0)
    assert split_prosody(NEUTRAL, native) == (NEUTRAL, NEUTRAL)
    assert split_speed(1.0, (0.75, 1.2)) == (1.0, 1.0)


@pytest.mark.parametrize("block", [1, 100, 256, 6000, 48_000])
@pytest.mark.parametrize(("factor", "manner"), [(1.0, EXCITED), (0.8, SAD), (3.3, EXCITED), (0.3, NEUTRAL)])
def test_chunking_does_not_change_samples(factor: float, manner: Prosody, block: int) -> None:
    samples = voiced(0.5)
    whole = filtered(samples, factor, manner, len(samples))
    assert np.abs(filtered(samples, factor, manner, block) - whole).max() < 1e-5


@given(st.integers(0, 30_000), st.floats(0.2, 4.5), st.floats(-6, 6), st.floats(-6, 6), st.floats(-6, 6))
def test_length_follows_factor(
    length: int, factor: float, pitch: float, loudness: float, brightness: float
) -> None:
    manner = Prosody(pitch=pitch, loudness=loudness, brightness=brightness)
    out = filtered(voiced(2.0, peak=0.9)[:length], factor, manner)
    assert out.dtype == np.float32
    assert len(out) == round(length / factor)
    assert not len(out) or np.isfinite(out).all()


@pytest.mark.parametrize("pitch", [-6.0, -2.0, 1.0, 3.5, 6.0])
@pytest.mark.parametrize("factor", [1.0, 0.8, 1.5])
def test_pitch_shifts_by_semitones(pitch: float, factor: float) -> None:
    tone = (0.3 * np.sin(2 * np.pi * 200 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    out = filtered(tone, factor, Prosody(pitch=pitch))
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)), 8 * len(out)))
    fundamental = np.fft.rfftfreq(8 * len(out), 1 / RATE)[spectrum.argmax()]
    assert 12 * np.log2(fundamental / 200) == pytest.approx(pitch, abs=0.2)


@pytest.mark.parametrize("brightness", [-4.0, 2.0, 5.0])
def test_brightness_raises_above_2_khz(brightness: float) -> None:
    noise = (0.05 * np.random.default_rng(1).standard_normal(2 * RATE)).astype(np.float32)
    out = filtered(noise, 1.0, Prosody(brightness=brightness))
    above = level_db(out, 2500) - level_db(noise, 2500)
    below = level_db(out, 0, 1200) - level_db(noise, 0, 1200)
    assert above == pytest.approx(brightness, abs=0.4)
    assert below == pytest.approx(0.0, abs=0.3)


@pytest.mark.parametrize("loudness", [-6.0, -1.0, 3.0, 6.0])
def test_loudness_is_in_decibels(loudness: float) -> None:
    samples = voiced(peak=0.4)
    out = filtered(samples, 1.0, Prosody(loudness=loudness))
    assert level_db(out) - level_db(samples) == pytest.approx(loudness, abs=0.01)
    np.testing.assert_allclose(out, samples * 10 ** (loudness / 20), atol=1e-5)


@pytest.mark.parametrize("manner", [Prosody(loudness=6.0), Prosody(loudness=4.0, brightness=4.0)])
def test_loud_speech_is_limited(manner: Prosody) -> None:
    samples = voiced(peak=0.95)
    out = filtered(samples, 1.0, manner)
    assert 0.8 < np.abs(out).max() < 0.96
    between = [(150 * n + 40, 150 * n + 110) for n in range(1, 40)]
    new = 10 * np.log10(sum(10 ** (level_db(out, *band) / 10) for band in between))
    assert new < level_db(out) - 35


@pytest.mark.parametrize("factor", [0.4, 0.8, 1.3, 3.4])
@pytest.mark.parametrize("manner", [NEUTRAL, EXCITED, SAD])
def test_onset_keeps_its_time(factor: float, manner: Prosody) -> None:
    samples = np.zeros(3 * RATE, np.float32)
    begins = (0.4, 1.1, 1.9, 2.5)
    for begin in begins:
        at = round(begin * RATE)
        samples[at : at + 3600] = voiced(0.15, peak=0.4) + 0.2
    out = np.abs(filtered(samples, factor, manner)) > 0.05
    heard = np.flatnonzero(out) / RATE
    starts = [heard[0], *heard[1:][np.diff(heard) > 0.1 / factor]]
    assert starts == pytest.approx([begin / factor for begin in begins], abs=0.04 / min(factor, 1.0))


@pytest.mark.parametrize("factor", [1.0, 0.3, 0.8, 1.5, 3.4])
@pytest.mark.parametrize("manner", [NEUTRAL, replace(EXCITED, pitch=0.0), EXCITED, SAD])
def test_first_sound_comes_early(factor: float, manner: Prosody) -> None:
    changed = ProsodyFilter(RATE, factor, manner)
    first = changed.feed(voiced(0.24))
    assert len(first) / RATE > 0.12 / factor
    if factor == 1.0 and manner.pitch == 0.0:
        assert len(first) / RATE > 0.234


_, FILTERED = split_prosody(EMOTIONS["happy"], frozenset())


def chunks() -> list[SpeechChunk]:
    """A second of noise in four chunks, a word in each."""
    noise = np.random.default_rng(3).standard_normal(RATE).astype(np.float32) / np.float32(8)
    return [
        SpeechChunk(piece, RATE, at / 4, (Span(at, at + 1, at / 4, at / 4 + 0.2, (at / 4 + 0.1,)),))
        for at, piece in enumerate(np.split(noise, 4))
    ]


async def rendered(
    factor: float, manner: Prosody = NEUTRAL, longest: int = 10 * RATE
) -> tuple[list[SpeechChunk], SegmentFilter]:
    async def engine() -> AsyncGenerator[SpeechChunk, None]:
        for chunk in chunks():
            yield chunk

    rendering = SegmentFilter(engine(), RATE, factor, longest, manner)
    return [chunk async for chunk in rendering.chunks()], rendering


@pytest.mark.parametrize("factor", [0.3, 0.8, 1.0, 1.5, 3.4])
@pytest.mark.parametrize("manner", [NEUTRAL, FILTERED])
async def test_spans_are_rescaled_with_audio(factor: float, manner: Prosody) -> None:
    heard, rendering = await rendered(factor, manner)
    samples, spans = audio(heard), spans_of(heard)
    assert len(samples) == round(RATE / factor)
    assert [span.start_s for span in spans] == pytest.approx([at / 4 / factor for at in range(4)])
    assert [span.character_starts[0] for span in spans] == pytest.approx(
        [(at / 4 + 0.1) / factor for at in range(4)]
    )
    assert spans[-1].end_s <= len(samples) / RATE
    assert not rendering.truncated
    plain, _ = await rendered(factor)
    if (factor, manner) == (1.0, NEUTRAL):
        assert np.array_equal(samples, audio(chunks())) and spans == spans_of(chunks())
        assert [len(chunk.samples) for chunk in heard] == [len(chunk.samples) for chunk in chunks()]
    # Prosody changes the sound.
    assert manner is NEUTRAL or np.square(samples).mean() > 1.2 * np.square(audio(plain)).mean()


@pytest.mark.parametrize("manner", [NEUTRAL, FILTERED])
async def test_long_segment_is_cut(manner: Prosody) -> None:
    heard, rendering = await rendered(0.5, manner, longest=RATE)
    assert len(audio(heard)) == RATE and rendering.truncated
    assert all(span.end_s <= 1.0 for span in spans_of(heard))
    # Speech that fits exactly is not.
    assert not (await rendered(0.5, manner, longest=2 * RATE))[1].truncated
