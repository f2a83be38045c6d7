"""Similarity of two recordings of the same speech: spectra, pitch, pauses.

All take float32 samples at 24 kHz. Two recordings that are compared have the same length and are aligned.
"""

from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE

Values = npt.NDArray[np.float64]

BANDS, WINDOW, HOP = 80, 1024, 256
LOUD_DB = 50.0
"""Frames count that have a band within so much of the recording's loudest."""

_FLOOR = 1e-6

_PITCH_WINDOW = round(0.020 * SAMPLE_RATE)
PITCH_HOP = round(0.005 * SAMPLE_RATE)
_HIGHEST_HZ, _LOWEST_HZ = 500.0, 70.0
_SHORTEST, _LONGEST = round(SAMPLE_RATE / _HIGHEST_HZ), round(SAMPLE_RATE / _LOWEST_HZ)
PITCH_FRAME = _PITCH_WINDOW + _LONGEST
"""Samples that one value of the pitch is taken from (34 ms)."""

_APERIODIC = 0.15
_PITCH_DB = 40.0


LONG_PAUSE_S = 0.25
_SILENT_DB = 45.0
_STEP = 120


def mel_db(samples: Samples) -> Values:
    """Power in 80 mel bands up to 12 kHz [frames, 80], in decibels, with a floor."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames)))
    return np.asarray(10 * np.log10(power @ _mel_filters().T + _FLOOR))


def log_spectral_distance(samples: Samples, reference: Samples) -> float:
    """Log-spectral distance in decibels: RMS over the mel bands per frame, mean over the loud frames.

    Loudness is judged by the reference.
    """
    own, other = mel_db(samples), mel_db(reference)
    loud = other.max(axis=1) > other.max() - LOUD_DB
    return float(np.sqrt(np.square(own[loud] - other[loud]).mean(axis=1)).mean())


@cache
def _mel_filters() -> Values:
    """Triangles [80, 513], equally far apart in O'Shaughnessy's mel."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    low, middle, high = (corners[at : at + BANDS, np.newaxis] for at in range(3))
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def pitch(samples: Samples) -> Values:
    """F0 in hertz every 5 ms, each from the 34 ms after it; NaN where unvoiced.

    YIN (de Cheveigné and Kawahara 2002): the first dip of the normalised difference below 0.15, or
    its minimum if that is below, refined by a parabola.
    """
    if len(samples) < PITCH_FRAME:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), PITCH_FRAME)[::PITCH_HOP]
    size = 2 * PITCH_FRAME
    correlation = np.fft.irfft(
        np.fft.rfft(frames, size) * np.conj(np.fft.rfft(frames[:, :_PITCH_WINDOW], size)), size
    )[:, : _LONGEST + 1]
    summed = np.cumsum(np.square(frames), axis=1)
    power = summed[:, _PITCH_WINDOW - 1 :].copy()
    power[:, 1:] -= summed[:, :_LONGEST]
    difference = np.maximum(power[:, :1] + power - 2 * correlation, 0.0)
    lags = np.arange(1, _LONGEST + 1)
    normal = np.ones_like(difference)
    normal[:, 1:] = difference[:, 1:] * lags / (np.cumsum(difference[:, 1:], axis=1) + 1e-12)
    loud = power[:, 0] > power[:, 0].max() * 10 ** (-_PITCH_DB / 10)
    found = np.full(len(frames), np.nan)
    for at in np.flatnonzero(loud):
        found[at] = _period_hz(normal[at])
    return found


def end_pitch(samples: Samples) -> float:
    """Pitch of the last 0.1 s that are voiced, in semitones over 1 Hz: their median."""
    found = pitch(np.pad(samples, (0, PITCH_FRAME)))
    voiced = found[~np.isnan(found)]
    return float(12 * np.log2(np.median(voiced[-20:])))


def _period_hz(normal: Values) -> float:
    """F0 of one frame from its normalised difference, NaN if it is not periodic."""
    searched = normal[_SHORTEST:_LONGEST]
    below = np.flatnonzero(searched < _APERIODIC)
    if not len(below):
        return float("nan")
    lag = int(below[0])
    while lag + 1 < len(searched) and searched[lag + 1] < searched[lag]:
        lag += 1
    lag += _SHORTEST
    before, here, after = normal[lag - 1 : lag + 2]
    curve = before - 2 * here + after
    moved = 0.5 * (before - after) / curve if curve > 0 else 0.0
    return SAMPLE_RATE / (lag + float(np.clip(moved, -0.5, 0.5)))


def long_pauses(samples: Samples) -> int:
    """Number of silences of more than 250 ms between two sounds."""
    power = np.square(samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)).mean(axis=1)
    heard = np.flatnonzero(power > np.percentile(power, 95) * 10 ** (-_SILENT_DB / 10))
    return int((np.diff(heard) > LONG_PAUSE_S * SAMPLE_RATE / _STEP).sum())


def silences(samples: Samples, below_db: float = 28.0) -> list[tuple[float, float]]:
    """Silences of 50 ms and more between two sounds, so far below the speech, as (start, end) in seconds."""
    power = np.square(samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP)).mean(axis=1)
    # The speech is the louder 70 % of the sound.
    speech = np.sort(power)[round(0.3 * len(power)) :].mean()
    heard = np.flatnonzero(power > speech * 10 ** (-below_db / 10))
    edges = ((int(a) + 1, int(b)) for a, b in pairwise(heard) if (b - a - 1) * _STEP >= 0.05 * SAMPLE_RATE)
    return [(start * _STEP / SAMPLE_RATE, end * _STEP / SAMPLE_RATE) for start, end in edges]
