"""Runaway speech, loops and silence are detected; normal speech passes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.engines.kani.model.output_guard import AUDIBLE, Anomaly, OutputGuard

FRAME_S = 0.08
RATE = 1000


def noise(seconds: float, level: float) -> np.ndarray:
    """A square wave of that peak."""
    return np.where(np.arange(round(seconds * RATE)) % 2, level, -level).astype(np.float32)


@pytest.mark.parametrize(("expected_s", "frames"), [(0.0, 25), (1.0, 62), (4.0, 175)])
def test_runaway_is_three_times_prediction_plus_two_seconds(expected_s: float, frames: int) -> None:
    watch = OutputGuard(expected_s, FRAME_S)
    for number in range(frames):
        assert watch.check_frame([number, 0, 0, 0]) is None
    assert watch.check_frame([frames, 0, 0, 0]) is Anomaly.RUNAWAY


@pytest.mark.parametrize("period", range(1, 11))
def test_loops_of_up_to_ten_frames_are_detected(period: int) -> None:
    watch = OutputGuard(1000.0, FRAME_S)
    for number in range(7):
        assert watch.check_frame([100 + number]) is None
    until = period + max(4 * period, 30)
    for number in range(until - 1):
        assert watch.check_frame([number % period]) is None
    assert watch.check_frame([(until - 1) % period]) is Anomaly.LOOP


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=200))
def test_loop_is_detected_at_first_possible_frame(codes: list[int]) -> None:
    watch = OutputGuard(1000.0, FRAME_S)

    def repeats(said: list[int]) -> bool:
        for period in range(1, 11):
            length = max(4 * period, 30)
            if len(said) >= length + period and said[-length:] == said[-length - period : -period]:
                return True
        return False

    for number, code in enumerate(codes, 1):
        assert (watch.check_frame([code]) is Anomaly.LOOP) == repeats(codes[:number])


def test_three_seconds_without_sound_are_silence() -> None:
    watch = OutputGuard(10.0, FRAME_S)
    assert watch.check_audio(np.concatenate((noise(0.5, 0.1), noise(1.0, 0.0))), RATE) is None
    assert watch.check_audio(noise(2.0, AUDIBLE / 2), RATE) is None
    assert watch.check_audio(noise(0.001, AUDIBLE / 2), RATE) is Anomaly.SILENCE
    assert watch.check_audio(noise(0.001, AUDIBLE), RATE) is None
    assert watch.check_audio(noise(3.0, 0.0), RATE) is None


def test_speech_without_voice_is_silence() -> None:
    watch = OutputGuard(10.0, FRAME_S)
    assert not watch.audible and watch.check_end() is Anomaly.SILENCE
    watch.check_audio(noise(0.5, 0.9 * AUDIBLE), RATE)
    assert not watch.audible and watch.check_end() is Anomaly.SILENCE
    watch.check_audio(noise(0.01, -0.5), RATE)
    assert watch.audible and watch.check_end() is None
