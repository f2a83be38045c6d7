"""Playback position of a stream's listener, estimated from the audio that was made."""

from __future__ import annotations

import time
from collections.abc import Callable


class Playback:
    """Estimates the audio that a listener has left, who plays each chunk as it comes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: float | None = None

    def add(self, seconds: float) -> None:
        """So much more audio has just been made."""
        if seconds or self._until is not None:
            self._until = max(self._until or 0.0, self._clock()) + seconds

    @property
    def ends_at(self) -> float:
        """When there is nothing left to hear, on the clock; −∞ while there has been nothing."""
        return float("-inf") if self._until is None else self._until

    @property
    def remaining_s(self) -> float:
        """Seconds until then, below 0 afterwards; −∞ while there has been nothing."""
        return self.ends_at - self._clock()
