"""The last seconds of a stream's audio."""

from collections import deque

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples

_PIECE_S = 0.08
"""Shorter pieces are joined: a client may send single samples."""


class RecentAudio:
    """Audio of a stream; ``forget`` keeps its last ``kept_s`` seconds."""

    def __init__(
        self, sample_rate: int, kept_s: float, at: int = 0, dtype: type[np.floating] = np.float32
    ) -> None:
        """sample_rate: hertz of the samples; at: place of the first in the stream; dtype: of what is kept."""
        self._kept = round(kept_s * sample_rate)
        self._piece = round(_PIECE_S * sample_rate)
        self._pieces: deque[npt.NDArray[np.floating]] = deque()
        self._dtype = dtype
        self.start = at  # place of the first kept sample

    def add(self, samples: Samples) -> None:
        piece: npt.NDArray[np.floating] = samples.astype(self._dtype, copy=False)
        if self._pieces and len(self._pieces[-1]) < self._piece:
            piece = np.concatenate([self._pieces.pop(), piece])
        self._pieces.append(piece)

    def forget(self, end: int) -> None:
        """Forget the pieces that ``before(end)`` has nothing of; ``end`` never decreases."""
        self.forget_before(end - self._kept)

    def forget_before(self, place: int) -> None:
        """Forget the pieces that end before a place."""
        while self._pieces and self.start + len(self._pieces[0]) <= place:
            self.start += len(self._pieces.popleft())

    def before(self, end: int) -> Samples:
        """Return the last ``kept_s`` seconds before the place ``end``."""
        return self.between(end - self._kept, end)

    def between(self, first: int, end: int) -> Samples:
        """Return the samples from the place ``first`` to the place ``end``, as far as they are kept."""
        found, at = list[npt.NDArray[np.floating]](), self.start
        for piece in self._pieces:
            if at < end and at + len(piece) > first:
                found.append(piece[max(first - at, 0) : end - at])
            at += len(piece)
        return np.concatenate([np.zeros(0, np.float32), *found])
