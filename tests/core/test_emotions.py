"""Emotions by name, their blends and their strength."""

from __future__ import annotations

import math
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.emotions import EMOTIONS, MAX_LENGTH, prosody_of
from kani.core.errors import InvalidRequest
from kani.core.types import NEUTRAL, Prosody

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
    excited, angry = EMOTIONS["excited"], EMOTIONS["angry"]
    assert excited.pitch == max(manner.pitch for manner in EMOTIONS.values())
    assert excited.rate == max(manner.rate for manner in EMOTIONS.values())
    assert excited.pitch_range == max(manner.pitch_range for manner in EMOTIONS.values())
    assert angry.loudness == max(manner.loudness for manner in EMOTIONS.values())
    assert 0 < EMOTIONS["friendly"].pitch < HAPPY.pitch
    assert EMOTIONS["professional"].pitch < 0 and EMOTIONS["professional"].pitch_range < 1


@pytest.mark.parametrize("name", EMOTIONS)
def test_emotion_name_is_its_prosody(name: str) -> None:
    assert prosody_of(name, None) == prosody_of(name, 1.0) == EMOTIONS[name]
    assert prosody_of(f" {name.upper()} : 1 ", None) == EMOTIONS[name]


@pytest.mark.parametrize(
    ("emotion", "strength"),
    [
        *((emotion, None) for emotion in (None, "neutral", "neutral:0.3", "neutral, neutral:2")),
        *((emotion, 0.5) for emotion in (None, "neutral", "neutral:0.3", "neutral, neutral:2")),
        *((emotion, 0.0) for emotion in (*EMOTIONS, "happy:0.5,calm:0.5")),
    ],
)
def test_neutral_is_exact(emotion: str | None, strength: float | None) -> None:
    assert prosody_of(emotion, strength) == NEUTRAL


def test_strength_scales_prosody() -> None:
    half = prosody_of("happy", 0.5)
    assert half.pitch == pytest.approx(HAPPY.pitch / 2)
    assert half.loudness == pytest.approx(HAPPY.loudness / 2)
    assert half.rate == pytest.approx(math.sqrt(HAPPY.rate))
    assert half.pitch_range == pytest.approx(math.sqrt(HAPPY.pitch_range))


def test_blend_averages_its_parts() -> None:
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
    ("emotion", "told"),
    [
        ("joyful", "unknown emotion 'joyful'.*known: neutral, happy"),
        ("happy:0.5,joyful:0.5", "unknown emotion 'joyful'"),
        ("", "'' is no"),
        ("happy,", "'' is no"),
        ("happy:", "'happy:' is no"),
        ("happy:-1", "'happy:-1' is no"),
        ("happy:nan", "'happy:nan' is no"),
        ("happy:1e3", "'happy:1e3' is no"),
        ("happy 0.5", "'happy 0.5' is no"),
        ("happy:0", "the weight of 'happy' must be above 0"),
        ("happy," * 40, f"at most {MAX_LENGTH} characters"),
    ],
)
def test_invalid_emotion_is_refused(emotion: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as caught:
        prosody_of(emotion, None)
    assert caught.value.field == "emotion"


@pytest.mark.parametrize("strength", [-0.1, 1.1, math.nan, math.inf])
def test_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(InvalidRequest, match="between 0 and 1") as caught:
        prosody_of("neutral", strength)
    assert caught.value.field == "emotion_strength"


@given(
    st.lists(st.tuples(st.sampled_from(sorted(EMOTIONS)), st.floats(0.001, 1000)), min_size=1, max_size=8),
    st.floats(0, 1),
)
def test_blend_stays_between_its_parts(parts: list[tuple[str, float]], strength: float) -> None:
    blend = prosody_of(",".join(f"{name}:{weight:.3f}" for name, weight in parts), strength)
    ends: list[Prosody] = [NEUTRAL, *(EMOTIONS[name] for name, _ in parts)]
    for value, *corners in zip(astuple(blend), *(astuple(end) for end in ends), strict=True):
        assert min(corners) - 1e-9 <= value <= max(corners) + 1e-9
