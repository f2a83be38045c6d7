"""Sees when a stream no longer says its text: it never ends, repeats itself, or is silent.

A sampled model does so now and then. What is looked for: speech that goes on where the text is long
said, the same frames over and over, and silence where there should be a voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt

_TOO_LONG = 3.0
_GRACE_S = 2.0
_LOOP_S = 2.4
_LONGEST_PERIOD = 10
_LEAST_REPEATS = 4
_SILENCE_S = 3.0
AUDIBLE = 0.004
"""A peak below this (−48 dB of full scale) is silence."""


class Anomaly(Enum):
    """What is wrong with a stream."""

    RUNAWAY = "speech did not end"
    LOOP = "speech repeated itself"
    SILENCE = "there was no voice"


class OutputGuard:
    """Watches one stream."""

    def __init__(self, predicted_s: float, frame_s: float = 0.08) -> None:
        """expected_s: how long the text takes to say, roughly; frame_s: seconds of a frame."""
        self._longest = round((_TOO_LONG * predicted_s + _GRACE_S) / frame_s)
        self._loop = round(_LOOP_S / frame_s)
        self._frames: list[tuple[int, ...]] = []
        self._silent_s = 0.0
        self.audible = False
        """Whether anything but silence was spoken."""

    def check_frame(self, codes: Sequence[int]) -> Anomaly | None:
        """Another frame was drawn."""
        self._frames.append(tuple(codes))
        if len(self._frames) > self._longest:
            return Anomaly.RUNAWAY
        if self._loops():
            return Anomaly.LOOP
        return None

    def check_audio(self, samples: npt.NDArray[np.float32], sample_rate: int) -> Anomaly | None:
        """Some more was spoken."""
        audible = np.flatnonzero(np.abs(samples) >= AUDIBLE)
        if len(audible):
            self.audible = True
            self._silent_s = (len(samples) - 1 - audible[-1]) / sample_rate
        else:
            self._silent_s += len(samples) / sample_rate
        return Anomaly.SILENCE if self._silent_s > _SILENCE_S else None

    def check_end(self) -> Anomaly | None:
        """The stream has come to its end."""
        return None if self.audible else Anomaly.SILENCE

    def _loops(self) -> bool:
        frames = self._frames
        for period in range(1, _LONGEST_PERIOD + 1):
            length = max(period * _LEAST_REPEATS, self._loop)
            if len(frames) < length + period:
                continue
            if all(frames[-n] == frames[-n - period] for n in range(1, length + 1)):
                return True
        return False
