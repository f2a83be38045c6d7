"""The last seconds of a stream's audio."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from kani.core.types import Samples

SILENT_DB = -120.0
"""Level of digital silence."""


class RecentAudio:
    """Audio of a stream, of which the last ``kept_s`` seconds before the last place asked for are kept."""

    def __init__(self, sample_rate: int, kept_s: float, at: int = 0) -> None:
        """sample_rate: hertz of the samples; at: place of the first in the stream."""
        self._kept = round(kept_s * sample_rate)
        self._pieces: deque[Samples] = deque()
        self._start = at  # place of the first kept sample

    def add(self, samples: Samples) -> None:
        """Append samples."""
        self._pieces.append(samples)

    def before(self, end: int, length: int | None = None) -> Samples:
        """Return the kept samples before the place ``end``, at most ``length``; forget what is too old.

        The places never decrease.
        """
        while self._pieces and self._start + len(self._pieces[0]) <= end - self._kept:
            self._start += len(self._pieces.popleft())
        first = max(end - (self._kept if length is None else length), self._start)
        found, at = list[Samples](), self._start
        for piece in self._pieces:
            found.append(piece[max(first - at, 0) : max(end - at, 0)])
            at += len(piece)
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    def level_db(self, end: int, length: int) -> float:
        """Return the level of the samples ``[end - length, end)`` in dB relative to full scale."""
        samples = self.before(end, length)
        power = float(np.mean(np.square(samples))) if len(samples) else 0.0
        return 10 * math.log10(power) if power > 10 ** (SILENT_DB / 10) else SILENT_DB
