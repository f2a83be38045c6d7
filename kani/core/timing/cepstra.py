"""Speaker-independent features of speech, frame by frame: normalised cepstra and their slopes.

Log energies in mel bands and their cepstra: Davis and Mermelstein 1980; their slopes: Furui 1981.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples

SAMPLE_RATE = 16_000
"""Hertz of all audio here."""

HOP = 160
"""Samples from one frame to the next: 10 ms."""

Matrix = npt.NDArray[np.float32]

WINDOW, _FFT = 320, 512
_BANDS, _CEPSTRA = 26, 7
_LOWEST_HZ, _HIGHEST_HZ = 60.0, 7600.0
_FLOOR = 1e-7
# Frames this far (nepers of power) below the loud parts of speech say nothing of the voice.
_AUDIBLE_RANGE = 8.0
_LOUDNESS, _LOUDEST = 0.8, 4.0
_SLOPES = 3.0
SLOPE_FRAMES = 2
"""Frames on either side from which a slope is computed."""


def _mel_bands() -> Matrix:
    """Triangles evenly spaced in mel, [bands, frequencies]."""

    def mel(hertz: float) -> float:
        return 2595.0 * float(np.log10(1.0 + hertz / 700.0))

    edges = 700.0 * (10 ** (np.linspace(mel(_LOWEST_HZ), mel(_HIGHEST_HZ), _BANDS + 2) / 2595.0) - 1.0)
    hertz = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (hertz - low) / (middle - low), (high - hertz) / (high - middle)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


def _cosines() -> Matrix:
    """The first rows of the orthonormal DCT-II, [cepstra, bands]."""
    rows = np.cos(np.pi * np.outer(np.arange(_CEPSTRA), np.arange(_BANDS) + 0.5) / _BANDS)
    rows *= np.sqrt(2.0 / _BANDS)
    rows[0] /= np.sqrt(2.0)
    return rows.astype(np.float32)


_MEL, _DCT = _mel_bands(), _cosines()
_TAPER = np.hanning(WINDOW).astype(np.float32)
# The higher a cepstrum, the more it depends on the speaker and the less on the sound.
_WEIGHTS = np.array([_LOUDNESS, *(k**-0.3 for k in range(1, _CEPSTRA))], np.float32)


def cepstra_of(samples: Samples, hop: int = HOP) -> tuple[Matrix, Matrix]:
    """Return the cepstra, and the mean level in nepers, of each whole frame, ``hop`` samples apart."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop]
    power = np.square(np.abs(np.fft.rfft(frames * _TAPER, _FFT))).astype(np.float32)
    # Not BLAS: for products this small its threads wait more than they work.
    bands = np.log(np.einsum("tf,bf->tb", power, _MEL) + np.float32(_FLOOR))
    return np.einsum("tb,cb->tc", bands, _DCT), bands.mean(axis=1)


@dataclass(frozen=True, slots=True)
class Normalization:
    """Level, mean and spread of the loud frames of some speech, relative to which it is compared."""

    loud: float
    _mean: Matrix
    _spread: Matrix

    @classmethod
    def of(cls, rows: Matrix, levels: Matrix) -> Self:
        loudest = len(levels) * 95 // 100
        loud = np.partition(levels, loudest)[loudest]
        near = rows[levels > loud - _AUDIBLE_RANGE]
        return cls(loud, near.mean(axis=0), near.std(axis=0) + np.float32(1e-3))

    def applied(self, rows: Matrix) -> Matrix:
        """Return cepstra that can be compared with another speaker's."""
        rows = (rows - self._mean) / self._spread * _WEIGHTS
        rows[:, 0] = np.clip(rows[:, 0], -_LOUDEST, _LOUDEST)
        return rows

    def compared(self, rows: Matrix, levels: Matrix) -> tuple[Matrix, Matrix]:
        """Return ``applied``, and how far each frame is below loud speech (nepers)."""
        return self.applied(rows), (self.loud - levels).astype(np.float32)


def with_slopes(rows: Matrix, before: int = 0, after: int = 0, weight: float = _SLOPES) -> Matrix:
    """Return rows and their slopes, without the first ``before`` and the last ``after`` rows."""
    # np.pad takes as long as all the rest here.
    first, last = [rows[:1]] * (SLOPE_FRAMES - before), [rows[-1:]] * (SLOPE_FRAMES - after)
    padded = np.concatenate([*first, rows, *last])
    count = len(rows) - before - after
    slopes = sum(
        step * (padded[SLOPE_FRAMES + step :][:count] - padded[SLOPE_FRAMES - step :][:count])
        for step in range(1, SLOPE_FRAMES + 1)
    ) / (2 * sum(step * step for step in range(1, SLOPE_FRAMES + 1)))
    return np.hstack([padded[SLOPE_FRAMES : SLOPE_FRAMES + count], weight * slopes])


class Cepstra:
    """Computes a row for each frame, centred on every ``hop``, of audio at ``SAMPLE_RATE`` fed in pieces."""

    def __init__(self, hop: int = HOP) -> None:
        self._hop = hop
        self._pending: Samples = np.zeros(WINDOW // 2, np.float32)
        self._rows: Matrix = np.zeros((0, _CEPSTRA), np.float32)
        self._levels: Matrix = np.zeros(0, np.float32)
        self.finished = False  # all frames are there

    def __len__(self) -> int:
        return len(self._rows)

    def feed(self, samples: Samples, *, last: bool = False) -> None:
        """Accept samples; last: nothing follows."""
        self.finished |= last
        after: Samples = np.zeros(WINDOW // 2 if last else 0, np.float32)
        self._pending = np.concatenate([self._pending, samples, after])
        count = (len(self._pending) - WINDOW) // self._hop + 1
        if count <= 0:
            return
        rows, levels = cepstra_of(self._pending, self._hop)
        self._rows = np.concatenate([self._rows, rows])
        self._levels = np.concatenate([self._levels, levels])
        self._pending = self._pending[count * self._hop :]

    def take(self) -> tuple[Matrix, Matrix]:
        """Return the cepstra and levels of the frames so far, which are forgotten."""
        rows, levels = self._rows, self._levels
        self._rows, self._levels = rows[:0], levels[:0]
        return rows, levels

    @property
    def complete_frames(self) -> int:
        """Number of frames with all the frames after them that their slope needs."""
        return len(self) if self.finished else max(len(self) - SLOPE_FRAMES, 0)

    def features(self, first: int, end: int) -> tuple[Matrix, Matrix]:
        """Features of frames [first, end), [frames, 2 * cepstra], and their distance below loud speech
        (nepers).

        Normalised by the level, the mean and the spread of all frames so far.
        """
        normal = Normalization.of(self._rows, self._levels)
        before, after = max(first - SLOPE_FRAMES, 0), min(end + SLOPE_FRAMES, len(self))
        rows = normal.applied(self._rows[before:after])
        return with_slopes(rows, first - before, after - end), normal.loud - self._levels[first:end]
