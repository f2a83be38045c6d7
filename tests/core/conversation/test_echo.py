"""An answer's audio, recognised where it comes back."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from kani.core.conversation import echo
from kani.core.conversation.echo import HEARD_S, LATEST_S, AnswerAudio
from kani.core.types import Samples

RATE, HEARD_RATE = 24_000, 16_000
WINDOW = round(HEARD_S * HEARD_RATE)


def babble(seed: int, seconds: float, rate: int) -> Samples:
    """Noise in the band of a telephone, in syllables; the same sound at every rate."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * 8000))
    syllables = 1 + np.sin(2 * np.pi * 4 * np.arange(len(noise)) / 8000)
    return soxr.resample(0.1 * noise * syllables, 8000, rate).astype(np.float32)


def answer(seconds: float, played_s: float = 0.0) -> AnswerAudio:
    audio = AnswerAudio(RATE)
    for piece in np.split(babble(0, seconds, RATE), 20):
        audio.add(piece, played_s)
    return audio


@pytest.mark.parametrize("late_s", [-0.2, 0.0, 0.31, 3.0])
def test_echo_of_an_answer_is_recognised(late_s: float) -> None:
    heard = babble(0, 6.0, HEARD_RATE)[: round((5.0 - late_s) * HEARD_RATE)][-WINDOW:]
    noise = np.random.default_rng(2).standard_normal(WINDOW).astype(np.float32)
    assert answer(6.0).is_in(10 ** (-12 / 20) * heard + 0.005 * noise, HEARD_RATE, 5.0)


@pytest.mark.parametrize("level", [1.0, 0.25])
def test_other_voice_is_none(level: float) -> None:
    own = babble(1, 6.0, HEARD_RATE)[:WINDOW]
    played = babble(0, 6.0, HEARD_RATE)[:WINDOW]
    assert not answer(6.0).is_in(level * own, HEARD_RATE, 5.0)
    assert not answer(6.0).is_in(own + 10 ** (-12 / 20) * played, HEARD_RATE, 1.0)  # over the echo


def test_silence_is_none() -> None:
    silence = np.zeros(WINDOW, np.float32)
    assert not answer(6.0).is_in(silence, HEARD_RATE, 5.0)
    assert not AnswerAudio(RATE).is_in(silence, HEARD_RATE, 0.0)
    assert not answer(6.0).is_in(silence[:0], HEARD_RATE, 5.0)


def test_only_what_may_be_heard_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "MOST_AHEAD_S", 2.0)
    heard = babble(0, 30.0, HEARD_RATE)
    audio = answer(30.0)  # not played yet: after 2 s nothing is kept
    assert audio.is_in(heard[HEARD_RATE:][:WINDOW], HEARD_RATE, 1.5)
    assert not audio.is_in(heard[-WINDOW:], HEARD_RATE, 30.0)
    monkeypatch.setattr(echo, "MOST_AHEAD_S", 120.0)
    audio = answer(30.0, played_s=30.0)
    assert sum(map(len, audio._pieces)) < (LATEST_S + 4) * 8000
    assert audio.is_in(heard[-WINDOW:], HEARD_RATE, 30.0)
