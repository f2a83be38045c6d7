"""Trims a model's own silence from both ends of an audio stream."""

from __future__ import annotations

import numpy as np

from kani.core.types import Samples

KEPT_SILENCE_S = 0.05
"""Silence that stays before and after the speech, in seconds."""


class SilenceTrimmer:
    """Passes audio on as it comes. Silence waits until a sound follows, as it may be the trailing one."""

    def __init__(self, sample_rate: int, audible_level: float) -> None:
        """sample_rate: in hertz; audible_level: amplitude from which on a sample is a sound."""
        self._audible_level = audible_level
        self._kept = round(KEPT_SILENCE_S * sample_rate)
        self._has_sound = False
        self._waiting = np.zeros(0, np.float32)
        self.dropped = 0
        """Samples left out before the first sound; it grows until then."""

    def feed(self, samples: Samples) -> Samples:
        """Accept the next samples; returns what can be played now, up to the last sound so far.

        At most ``KEPT_SILENCE_S`` of silence stay before the first sound.
        """
        audible = np.flatnonzero(np.abs(samples) >= self._audible_level)
        held = np.concatenate([self._waiting, samples])
        if not len(audible):
            # Before the first sound no more than the kept silence can ever be needed.
            if not self._has_sound:
                self.dropped += max(len(held) - self._kept, 0)
                held = held[-self._kept :]
            self._waiting = held
            return np.zeros(0, np.float32)
        first = len(self._waiting) + int(audible[0])
        end = len(self._waiting) + int(audible[-1]) + 1
        start = 0 if self._has_sound else max(first - self._kept, 0)
        self.dropped += start
        self._has_sound = True
        self._waiting = held[end:]
        return held[start:end]

    def finish(self) -> Samples:
        """Return the end of the stream: at most ``KEPT_SILENCE_S`` of silence."""
        return self._waiting[: self._kept] if self._has_sound else np.zeros(0, np.float32)
