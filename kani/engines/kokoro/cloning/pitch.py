"""Fundamental frequency of a recording: median and spread."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples

SAMPLE_RATE = 16_000

_LOWEST_HZ, _HIGHEST_HZ = 60.0, 480.0
_SHORTEST, _LONGEST = round(SAMPLE_RATE / _HIGHEST_HZ), round(SAMPLE_RATE / _LOWEST_HZ)
_WINDOW, _HOP = 480, 160
_SIZE = 1024
_APERIODIC = 0.2
_QUIETEST_DB = 30.0
_LEAST_VOICED = 20
# Frames processed at a time: those of a whole minute would take 250 MB.
_AT_ONCE = 500
_SEMITONES = 12 / np.log(2)


@dataclass(frozen=True, slots=True)
class PitchProfile:
    log_f0: float  # median, in log hertz
    spread_semitones: float  # half the distance from the 16th to the 84th percentile


def measure_pitch(samples: Samples) -> PitchProfile | None:
    """Measure the F0 of speech (mono, ``SAMPLE_RATE``); None where less than 0.2 s of it are voiced.

    YIN (de Cheveigné and Kawahara 2002), every 10 ms, between 60 and 480 Hz.
    """
    frame = _WINDOW + _LONGEST
    if len(samples) < frame:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, frame)[::_HOP]
    blocks = [_normalised(frames[at : at + _AT_ONCE]) for at in range(0, len(frames), _AT_ONCE)]
    searched = np.concatenate([normal for normal, _ in blocks])
    power = np.concatenate([loud for _, loud in blocks])
    periodic = (searched < _APERIODIC).any(axis=1)
    voiced = periodic & (power > np.percentile(power, 95) * 10 ** (-_QUIETEST_DB / 10))
    if voiced.sum() < _LEAST_VOICED:
        return None
    periods = np.array([_period(row) for row in searched[voiced]])
    tones = np.log(SAMPLE_RATE / periods)
    low, level, high = np.percentile(tones, (16, 50, 84))
    return PitchProfile(float(level), float((high - low) / 2 * _SEMITONES))


def _normalised(frames: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cumulative mean normalised difference of frames at the lags searched, and the frames' power."""
    difference, power = _difference(frames.astype(np.float64))
    lags = np.arange(1, _LONGEST + 1)
    normal = difference[:, 1:] * lags / (np.cumsum(difference[:, 1:], axis=1) + 1e-12)
    return normal[:, _SHORTEST:], power


def _difference(frames: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """YIN's difference function [n, lags] of frames, and the power of each frame's window [n]."""
    spectra = np.fft.rfft(frames, _SIZE)
    begins = np.fft.rfft(frames[:, :_WINDOW], _SIZE)
    correlation = np.fft.irfft(spectra * np.conj(begins), _SIZE)[:, : _LONGEST + 1]
    summed = np.pad(np.cumsum(np.square(frames), axis=1), ((0, 0), (1, 0)))
    power = summed[:, _WINDOW : _WINDOW + _LONGEST + 1] - summed[:, : _LONGEST + 1]
    return np.maximum(power[:, :1] + power - 2 * correlation, 0.0), power[:, 0]


def _period(normal: npt.NDArray[np.float64]) -> float:
    """Period of a frame in samples: the minimum of the first dip, refined by a parabola."""
    lag = int(np.argmax(normal < _APERIODIC))
    while lag + 1 < len(normal) and normal[lag + 1] < normal[lag]:
        lag += 1
    at = float(lag + _SHORTEST + 1)
    if not 0 < lag < len(normal) - 1:
        return at
    before, here, after = normal[lag - 1 : lag + 2]
    curve = before - 2 * here + after
    return at + (float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5)) if curve > 0 else 0.0)
