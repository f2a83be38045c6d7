"""The student's waveform: its source, and the inverse transform."""

from __future__ import annotations

import numpy as np
import pytest

from kani.engines.kokoro.student.waveform import BANDS, HOP, SAMPLE_RATE, WINDOW, pulses, synthesize
from tests.support.kokoro import agreement_db

SILENT = np.float32(-60.0)


def spectra(count: int) -> np.ndarray:
    """Silence: every magnitude is nothing."""
    made = np.zeros((count, 5, BANDS), np.float32)
    made[:, [0, 2, 3]] = SILENT
    return made


@pytest.mark.parametrize("hertz", [60.0, 187.5, 400.0])
def test_pulses_are_all_harmonics_below_eleven_kilohertz(hertz: float) -> None:
    train = pulses(np.full(80, hertz, np.float32), 0, 80)
    turns = hertz * np.arange(1, 80 * HOP + 1) / SAMPLE_RATE
    harmonics = np.arange(1, int(11_000 // hertz) + 1)
    wanted = np.cos(2 * np.pi * harmonics[:, np.newaxis] * turns).sum(axis=0)
    assert len(train) == 80 * HOP
    assert agreement_db(wanted, train) > 55


def test_pulses_are_silent_where_there_is_no_pitch() -> None:
    train = pulses(np.array([200.0] * 4 + [0.0] * 4 + [200.0] * 4, np.float32), 0, 12)
    assert not train[5 * HOP : 7 * HOP].any()
    assert train[: 3 * HOP].any() and train[-3 * HOP :].any()


def test_pulses_of_a_part_are_those_of_the_whole() -> None:
    pitch = np.linspace(80, 300, 40, dtype=np.float32)
    np.testing.assert_array_equal(pulses(pitch, 7, 20), pulses(pitch, 0, 40)[7 * HOP : 20 * HOP])


def test_rest_alone_is_the_inverse_transform() -> None:
    """The magnitudes and phases of a signal's spectra give that signal."""
    count = 70
    signal = np.random.default_rng(1).standard_normal(count * HOP).astype(np.float32)
    padded = np.pad(signal, WINDOW // 2)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    transformed = np.fft.rfft(frames * hann)
    given = spectra(count)
    given[:, 3], given[:, 4] = np.log(np.abs(transformed)), np.angle(transformed)
    made = synthesize(given.reshape(count, -1), np.zeros(count, np.float32))
    inside = slice(0, -2 * HOP)
    assert len(made) == len(signal)
    assert agreement_db(signal[inside], made[inside]) > 80


def test_filter_without_effect_gives_the_source() -> None:
    count = 40
    given, pitch = spectra(count), np.full(count, 150.0, np.float32)
    # The source's window is scaled by 300, so that a cosine of amplitude 1 has the magnitude 2.
    given[:, 0] = np.log(np.float32(WINDOW / 4))
    made = synthesize(given.reshape(count, -1), pitch)
    inside = slice(2 * HOP, -4 * HOP)
    assert agreement_db(pulses(pitch, 0, count)[inside], made[inside]) > 60


def test_noise_is_the_same_each_time_and_as_loud_as_asked() -> None:
    given = spectra(100)
    given[:, 2] = 1.0
    first, again, louder = (
        synthesize((given + offset).reshape(100, -1), np.zeros(100, np.float32))
        for offset in (0.0, 0.0, np.log(2) * (np.arange(5) == 2)[:, np.newaxis].astype(np.float32))
    )
    assert np.array_equal(first, again) and first.any()
    assert agreement_db(2 * first, louder) > 80
