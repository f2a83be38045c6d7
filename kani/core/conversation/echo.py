"""The audio of an answer, kept to recognise it where the listener's microphone hears it back."""

import numpy as np
import soxr

from kani.core.audio.resampling import Resampler
from kani.core.turns.recent_audio import RecentAudio
from kani.core.types import Samples

HEARD_S = 0.4
"""Seconds of the microphone's audio that are compared."""

LATEST_S = 5.0
"""Longest time from when audio is played, by the server's estimate, until it comes back: what a client holds
back, both ways, and what it has rested."""

EARLIEST_S = 0.5
"""Error of that estimate the other way."""

MOST_AHEAD_S = 120.0
"""Seconds of audio that are kept before they are played; the echo of what is beyond is not recognised."""

ALIKE, STILL_ALIKE = 0.45, 0.3
"""Correlation from which on audio is the answer's, and once some of it has come back. A room that adds
as much sound as comes straight from the speaker leaves 0.6 to 0.8; 1 in 100 of other voices has 0.45."""

_RATE = 8000  # the band of a telephone tells voices apart
_PRE_EMPHASIS = 0.95  # or low vowels of any two voices are alike


class AnswerAudio:
    """Audio of one answer as it is given out. Places are in seconds of the answer."""

    def __init__(self, sample_rate: int) -> None:
        """sample_rate: hertz of the audio."""
        self._resampler = Resampler(sample_rate, _RATE)
        self._audio = RecentAudio(_RATE, LATEST_S + HEARD_S, dtype=np.float16)
        self._end = 0
        self._full = False  # whether a piece was left out
        self._comes_back = False

    def add(self, samples: Samples, played_s: float) -> None:
        """Keep further audio, and forget what was played long before ``played_s``."""
        piece = self._resampler.feed(samples)
        self._audio.forget(round(played_s * _RATE))
        if not self._full and self._end - played_s * _RATE < MOST_AHEAD_S * _RATE:
            self._audio.add(piece)
            self._end += len(piece)
        else:
            # Pieces after a gap would have wrong places.
            self._full = True

    def is_in(self, heard: Samples, sample_rate: int, played_s: float) -> bool:
        """Return True if ``heard`` is audio of the answer that was played until ``played_s``.

        heard: the microphone's last ``HEARD_S`` seconds, at ``sample_rate`` hertz.
        """
        first = round((played_s - LATEST_S - HEARD_S) * _RATE)
        last = round((played_s + EARLIEST_S) * _RATE)
        # Before and after the answer there is silence.
        silence = np.zeros(round(HEARD_S * _RATE), np.float32)
        played = np.concatenate([silence, self._audio.between(first, last), silence])
        alike = correlation(played, soxr.resample(heard, sample_rate, _RATE))
        if alike >= ALIKE:
            self._comes_back = True
        return alike >= (STILL_ALIKE if self._comes_back else ALIKE)


def correlation(played: Samples, heard: Samples) -> float:
    """Return the largest normalised correlation, in [0, 1], of ``heard`` with a stretch of ``played``."""
    played, heard = _sharpened(played), _sharpened(heard)
    length = len(heard)
    if not length or len(played) < length or not heard.any():
        return 0.0
    size = 1 << (len(played) + length).bit_length()
    spectrum = np.fft.rfft(played, size) * np.fft.rfft(heard[::-1], size)
    found = np.fft.irfft(spectrum, size)[length - 1 : len(played)]
    energy = np.concatenate([[0.0], np.cumsum(np.square(played, dtype=np.float64))])
    energies = energy[length:] - energy[:-length]
    # A stretch of next to no sound resembles nothing.
    least = 1e-3 * energies.max() + 1e-12
    scale = np.sqrt(np.maximum(energies, least) * np.square(heard, dtype=np.float64).sum())
    return float(np.max(np.abs(found) / scale))


def _sharpened(samples: Samples) -> Samples:
    return samples[1:] - np.float32(_PRE_EMPHASIS) * samples[:-1]
