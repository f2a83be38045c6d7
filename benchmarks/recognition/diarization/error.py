"""The diarization error rate: the share of speech with a wrong speaker, none, or too much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kani.core.diarization.turns import SpeakerTurn

COLLAR_S = 0.25
"""Time before and after each edge of a true turn that is not judged."""

_FRAME_S = 0.01


@dataclass(frozen=True, slots=True)
class DiarizationError:
    """Seconds of each error, and of true speech, outside the collars."""

    missed_s: float
    false_s: float
    confused_s: float
    speech_s: float

    @property
    def rate(self) -> float:
        """The errors as a share of true speech; 0 without any speech."""
        wrong = self.missed_s + self.false_s + self.confused_s
        return wrong / self.speech_s if self.speech_s else 0.0

    def __add__(self, other: DiarizationError) -> DiarizationError:
        return DiarizationError(
            self.missed_s + other.missed_s,
            self.false_s + other.false_s,
            self.confused_s + other.confused_s,
            self.speech_s + other.speech_s,
        )


def diarization_error(true: Sequence[SpeakerTurn], found: Sequence[SpeakerTurn]) -> DiarizationError:
    """Compare ``found`` with ``true`` in frames of 10 ms, under the best mapping of the speakers.

    One speaker speaks at a time in both; ``true`` has ten speakers at most.
    """
    count = 1 + round(max((turn.end_s for turn in (*true, *found)), default=0.0) / _FRAME_S)
    truth, answer = _frames(true, count), _frames(found, count)
    judged = np.ones(count, bool)
    for edge_s in (edge for turn in true for edge in (turn.start_s, turn.end_s)):
        judged[max(round((edge_s - COLLAR_S) / _FRAME_S), 0) : round((edge_s + COLLAR_S) / _FRAME_S)] = False
    truth, answer = truth[judged], answer[judged]
    both = (truth >= 0) & (answer >= 0)
    shared = np.zeros((truth.max(initial=-1) + 1, answer.max(initial=-1) + 1))
    np.add.at(shared, (truth[both], answer[both]), 1)
    right = _most_shared(shared)
    return DiarizationError(
        *(
            float(frames) * _FRAME_S
            for frames in (
                np.count_nonzero((truth >= 0) & (answer < 0)),
                np.count_nonzero((truth < 0) & (answer >= 0)),
                np.count_nonzero(both) - right,
                np.count_nonzero(truth >= 0),
            )
        )
    )


def _most_shared(shared: npt.NDArray[np.float64]) -> float:
    """Return the greatest sum of ``shared`` [true, found], each row and column taken once."""
    rows, _ = shared.shape
    # By the set of true speakers that are already taken.
    best = np.full(1 << rows, -np.inf)
    best[0] = 0.0
    for column in shared.T:
        before = best.copy()
        for row, frames in enumerate(column):
            free = [taken for taken in range(1 << rows) if not taken >> row & 1]
            taken = [one | 1 << row for one in free]
            best[taken] = np.maximum(best[taken], before[free] + frames)
    return float(best.max())


def _frames(turns: Sequence[SpeakerTurn], count: int) -> npt.NDArray[np.int64]:
    """Return the speaker of each frame, -1 for none."""
    frames = np.full(count, -1, np.int64)
    for turn in turns:
        frames[round(turn.start_s / _FRAME_S) : round(turn.end_s / _FRAME_S)] = turn.speaker
    return frames
