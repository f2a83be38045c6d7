"""Playback position of a stream, estimated from the audio that was made."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(eq=False)
class Playback:
    """Estimates the audio that is left to play, if each chunk is played as soon as it comes."""

    _clock: Callable[[], float] = time.monotonic
    ends_at: float = -math.inf
    """Time at which playback ends, on the clock; −∞ before any audio."""

    def add(self, seconds: float) -> None:
        """Note that ``seconds`` more of audio were made just now."""
        if seconds or math.isfinite(self.ends_at):
            self.ends_at = max(self.ends_at, self._clock()) + seconds

    @property
    def ahead_s(self) -> float:
        """Seconds of audio that are left to play."""
        return max(self.remaining_s, 0.0)

    @property
    def remaining_s(self) -> float:
        """Seconds until playback ends, below 0 afterwards; −∞ before any audio."""
        return self.ends_at - self._clock()
