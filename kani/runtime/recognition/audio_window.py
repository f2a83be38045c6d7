"""The audio that a stream keeps for its next pass, and how fast audio arrives."""

from collections.abc import Callable

import numpy as np

from kani.core.types import Samples
from kani.runtime.voice_detector import SAMPLE_RATE


class AudioWindow:
    """The last seconds of a stream: mono samples at 16 kHz, appended at the end and dropped at the start."""

    def __init__(self) -> None:
        self.samples: Samples = np.zeros(0, np.float32)
        self.start = 0
        """Start of the window, in samples of the stream."""

    @property
    def start_s(self) -> float:
        """Start of the window, in seconds of the stream."""
        return self.start / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """End of the window, in seconds of the stream: all audio so far."""
        return self.end / SAMPLE_RATE

    @property
    def end(self) -> int:
        """Samples of the stream so far."""
        return self.start + len(self.samples)

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE

    def append(self, samples: Samples) -> None:
        self.samples = np.concatenate([self.samples, samples])

    def drop_before(self, at_s: float) -> None:
        """Forget the audio before ``at_s``, in seconds of the stream."""
        dropped = min(max(round(at_s * SAMPLE_RATE) - self.start, 0), len(self.samples))
        self.samples = self.samples[dropped:]
        self.start += dropped


class ArrivalPace:
    """Distinguishes live speech from a recording, which arrives faster than it can have been spoken."""

    def __init__(self, speedup: float, lead_s: float, clock: Callable[[], float]) -> None:
        """speedup: the fastest live speech, relative to real time; lead_s: the most that it is ahead by."""
        self._speedup = speedup
        self._max_lead_s = lead_s
        self._clock = clock
        self._lead_s = 0.0
        self._updated_s = clock()

    @property
    def is_backlog(self) -> bool:
        """True if the audio arrives faster than it can have been spoken."""
        return self._lead_s > self._max_lead_s

    def pause(self) -> None:
        """Leave the time since the last audio out: none was accepted, more may have arrived."""
        self._updated_s = self._clock()

    def add(self, duration_s: float) -> None:
        """Count audio of ``duration_s`` seconds that has just arrived."""
        before_s, self._updated_s = self._updated_s, self._clock()
        drained_s = max(0.0, self._lead_s - self._speedup * (self._updated_s - before_s))
        # Bounded, so that live speech after a backlog is soon recognised as live.
        self._lead_s = min(drained_s + duration_s, 2 * self._max_lead_s)
