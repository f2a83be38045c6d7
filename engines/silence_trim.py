"""Takes a model's own silence off both ends of a stream, and touches nothing else."""

from __future__ import annotations

import numpy as np

from speech.types import Samples

KEPT_SILENCE_S = 0.05


class SilenceTrimmer:
    """Passes audio on as it comes: what may be silence at the end waits until a sound follows it."""

    def __init__(self, sample_rate: int, audible_level: float) -> None:
        """audible: a sample's size from which on it is a sound."""
        self._audible = audible_level
        self._kept = round(KEPT_SILENCE_S * sample_rate)
        self._begun = False
        self._waiting = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> Samples:
        """What can be heard of ``samples`` now, with ``KEPT_SILENCE_S`` at most of silence before the first sound."""
        audible = np.flatnonzero(np.abs(samples) >= self._audible)
        held = np.concatenate([self._waiting, samples])
        if not len(audible):
            # Before the first sound no more of it is ever wanted than is kept.
            self._waiting = held if self._begun else held[-self._kept :]
            return np.zeros(0, np.float32)
        first = len(self._waiting) + int(audible[0])
        end = len(self._waiting) + int(audible[-1]) + 1
        start = 0 if self._begun else max(first - self._kept, 0)
        self._begun = True
        self._waiting = held[end:]
        return held[start:end]

    def finish(self) -> Samples:
        """The last of it: at most ``KEPT_SILENCE_S`` of silence."""
        return self._waiting[: self._kept] if self._begun else np.zeros(0, np.float32)
