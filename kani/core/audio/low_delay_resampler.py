"""Resamples a live stream without holding samples back."""

from __future__ import annotations

import math

import av
import numpy as np

from kani.core.audio import ffmpeg
from kani.core.types import Samples

LEAD_S = 0.002
"""Seconds of silence before the first sample: the resampler holds back 1 ms, which would delay each step."""

PRIMING_S = 0.01
"""Seconds of silence that a resampler is started with; its output for them is dropped."""


class LowDelayResampler:
    """Resamples a stream; after each piece nothing is held back.

    For ``n`` samples fed so far, ``n * target // source`` were returned, which begin with ``LEAD_S`` of
    silence where the rates differ. Uses FFmpeg's swresample, as soxr holds back up to 40 ms.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        """Rates in hertz."""
        self._source_rate, self._target_rate = source_rate, target_rate
        self._taken = self._given = 0
        self._ready: Samples = np.zeros(round(LEAD_S * target_rate), np.float32)
        ffmpeg.disable_threads()
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=target_rate)
        if source_rate != target_rate:
            # Its first output needs more input than the later ones: that shall be silence, which is dropped.
            period = source_rate // math.gcd(source_rate, target_rate)
            silence = math.ceil(PRIMING_S * source_rate / period) * period
            dropped = self._resample(np.zeros(silence, np.float32))
            self._skipped = silence * target_rate // source_rate - len(dropped)

    def feed(self, samples: Samples) -> Samples:
        """Return the audio for ``samples``."""
        if self._source_rate == self._target_rate:
            return samples
        self._taken += len(samples)
        resampled = self._resample(samples)
        skipped = min(self._skipped, len(resampled))
        self._skipped -= skipped
        ready = np.concatenate([self._ready, resampled[skipped:]])
        count = self._taken * self._target_rate // self._source_rate - self._given
        self._given += count
        self._ready = ready[count:]
        return ready[:count]

    def _resample(self, samples: Samples) -> Samples:
        """Return swresample's output for more samples."""
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None], np.float32), format="flt", layout="mono"
        )
        frame.sample_rate = self._source_rate
        pieces = [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
