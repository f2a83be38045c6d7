"""Dynamic time warping of two recordings of the same text, column by column.

Sakoe and Chiba 1978, the symmetric form, with a price on every step that is not diagonal. Rows are the frames
of the reference speech, columns those of the speech to be timed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kani.core.timing.cepstra import Matrix

# Extra cost of a frame that one recording has and the other has not.
_STEP_COST = 0.9
# A pause costs least where the speech is well below 10 nepers under its loud parts.
_MAX_PAUSE_COST, _PAUSE_LEVEL = 1.5, 10.0
_MIN_PAUSE_COST, _PAUSE_STEP_COST = 0.1, 0.1

_STAY, _UP = 1, 2
_MAX_EXPONENT = 60.0


class WarpingPath:
    """The cheapest paths to each row (features or pauses) through the columns so far.

    A pause may be skipped at no cost, or stayed in; the first row is one.
    """

    def __init__(self, rows: Matrix, pauses: npt.NDArray[np.bool_]) -> None:
        """rows: features [rows, dimensions], ignored where ``pauses`` [rows] is true."""
        self._rows = rows
        self._pauses = pauses
        self._squares = np.square(rows).sum(axis=1)
        self._speech_rows = np.cumsum(~pauses)
        self._stay = np.where(pauses, _PAUSE_STEP_COST, _STEP_COST)
        self._weights = np.where(pauses, 0.0, 1.0) / max(int(self._speech_rows[-1]), 1)
        self._total_distance = 0.0
        self._costs = np.zeros(0)
        self._moves: list[npt.NDArray[np.uint8]] = []
        self._dropped = 0

    def __len__(self) -> int:
        return self._dropped + len(self._moves)

    def feed(self, columns: Matrix, quiet: Matrix) -> None:
        """Add columns [columns, dimensions]; quiet: nepers of power of each below loud speech."""
        products = np.einsum("cd,rd->cr", columns, self._rows)
        squares = np.square(columns).sum(axis=1)[:, None] + self._squares - 2 * products
        distances = np.sqrt(np.maximum(squares, 0) / columns.shape[1]).astype(np.float64)
        self._total_distance += float((distances @ self._weights).sum())
        below = np.clip(quiet - _PAUSE_LEVEL, -_MAX_EXPONENT, _MAX_EXPONENT).astype(np.float64)
        distances[:, self._pauses] = (_MAX_PAUSE_COST / (1 + np.exp(below)) + _MIN_PAUSE_COST)[:, None]
        climbs = np.cumsum(np.where(self._pauses, 0.0, distances + _STEP_COST), axis=1)
        diagonals = np.where(self._pauses, np.inf, 2 * distances)
        stays = distances + self._stay
        for climb, diagonal, stay in zip(climbs, diagonals, stays, strict=True):
            if not len(self):
                # The path begins with the first row, or the first that is no pause.
                come = np.full(len(climb), np.inf)
                come[:2] = diagonal[1]
                moves = np.zeros(len(climb), np.uint8)
            else:
                come = diagonal.copy()
                come[1:] += self._costs[:-1]
                come[0] = np.inf
                stayed = self._costs + stay
                moves = (stayed < come).view(np.uint8)
                come = np.minimum(come, stayed)
            # Going up is a running minimum along the sum of its costs.
            level = come - climb
            least = np.minimum.accumulate(level)
            moves[least < level] = _UP
            self._costs = least + climb
            self._moves.append(moves)

    def best_row(self) -> int:
        """The most likely row of the last column: the one with the cheapest path by its length."""
        return int(np.argmin(self._costs / (self._speech_rows + len(self))))

    def relative_cost(self, row: int) -> float:
        """Cost per step of the path to ``row`` in the last column, relative to the mean distance of frames.

        0: both recordings are the same; 1: they have no more in common than any two sounds of speech.
        """
        step = self._costs[row] / (self._speech_rows[row] + len(self))
        return float(step / max(self._total_distance / len(self), 1e-9))

    def backtrack(self, row: int, earliest: int) -> list[tuple[int, int]]:
        """The path to ``row`` in the last column, from column ``earliest`` on: (row, column), in order."""
        way = []
        column = len(self) - 1
        first = max(earliest, self._dropped)
        while column >= first and row >= 0:
            way.append((row, column))
            move = self._moves[column - self._dropped][row]
            row -= move != _STAY
            column -= move != _UP
        return way[::-1]

    def forget(self, before: int) -> None:
        """Free the columns before this one; they must not be backtracked to any more."""
        if before > self._dropped:
            del self._moves[: before - self._dropped]
            self._dropped = before
