"""Detects speech that does not end, repeats itself, or is silent: sampling occasionally produces it.

Detected are speech much longer than its text, the same frames over and over, and silence instead of a voice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt

from kani.runtime.silence_trim import AUDIBLE

_TOO_LONG = 3.0
_GRACE_S = 2.0
_LOOP_S = 2.4
_LONGEST_PERIOD = 10
_LEAST_REPEATS = 4
_SILENCE_S = 3.0


class Anomaly(Enum):
    RUNAWAY = "speech did not end"
    LOOP = "speech repeated itself"
    SILENCE = "there was no voice"


class OutputGuard:
    def __init__(self, predicted_s: float, frame_s: float = 0.08) -> None:
        """predicted_s: rough duration of the text; frame_s: seconds of a frame."""
        self._max_frames = round((_TOO_LONG * predicted_s + _GRACE_S) / frame_s)
        self._loop_frames = round(_LOOP_S / frame_s)
        self._frames = 0
        self._last: deque[tuple[int, ...]] = deque(maxlen=_LONGEST_PERIOD)
        # By period: how many frames in turn were equal to the one a period before.
        self._repeated = [0] * (_LONGEST_PERIOD + 1)
        self._silent_s = 0.0
        self.audible = False  # anything but silence was decoded

    def check_frame(self, codes: Sequence[int]) -> Anomaly | None:
        frame = tuple(codes)
        looped = self._repeats(frame)
        self._last.appendleft(frame)
        self._frames += 1
        if self._frames > self._max_frames:
            return Anomaly.RUNAWAY
        return Anomaly.LOOP if looped else None

    def check_audio(self, samples: npt.NDArray[np.float32], sample_rate: int) -> Anomaly | None:
        audible = np.flatnonzero(np.abs(samples) >= AUDIBLE)
        if len(audible):
            self.audible = True
            self._silent_s = (len(samples) - 1 - audible[-1]) / sample_rate
        else:
            self._silent_s += len(samples) / sample_rate
        return Anomaly.SILENCE if self._silent_s > _SILENCE_S else None

    def check_end(self) -> Anomaly | None:
        return None if self.audible else Anomaly.SILENCE

    def _repeats(self, frame: tuple[int, ...]) -> bool:
        if frame not in self._last:
            # The common case, of every frame of every sequence.
            self._repeated = [0] * (_LONGEST_PERIOD + 1)
            return False
        for period, before in enumerate(self._last, start=1):
            self._repeated[period] = self._repeated[period] + 1 if frame == before else 0
        return any(
            repeated >= max(period * _LEAST_REPEATS, self._loop_frames)
            for period, repeated in enumerate(self._repeated)
        )
