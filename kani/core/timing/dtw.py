"""Dynamic time warping of two recordings of the same text, column by column.

Sakoe and Chiba 1978, the symmetric form, with a price on every step that is not diagonal. Rows are the frames
of the reference speech, columns those of the speech to be timed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kani.core.timing.cepstra import Matrix

# A pause costs least where the speech is well below 10 nepers under its loud parts.
_PAUSE_LEVEL = 10.0
_MIN_PAUSE_COST, _PAUSE_STEP_COST = 0.1, 0.1

STAY, UP = 1, 2
"""Moves into a cell of the path: from the column before, and from the row below; 0 is from both."""

_MAX_EXPONENT = 60.0

Costs = npt.NDArray[np.float64]
Moves = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Prices:
    """Costs of a path beside the distances of its frames."""

    step: float = 0.9
    """Of a frame that one recording has and the other has not."""
    pause: float = 1.5
    """Of a loud frame in a pause."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Frames that columns are compared with: features [rows, dimensions], ignored in pauses [rows]."""

    features: Matrix
    pauses: npt.NDArray[np.bool_]

    def part(self, first: int, end: int) -> Rows:
        return Rows(self.features[first:end], self.pauses[first:end])

    def distances(self, columns: Matrix) -> Costs:
        """Return the distance of each of ``columns`` from each row, [columns, rows]."""
        products = np.einsum("cd,rd->cr", columns, self.features)
        ours, theirs = (np.square(each).sum(axis=1) for each in (self.features, columns))
        squares = theirs[:, None] + ours - 2 * products
        found: Costs = np.sqrt(np.maximum(squares, 0) / columns.shape[1]).astype(np.float64)
        return found

    def advance(self, costs: Costs, distances: Costs, quiet: Matrix, prices: Prices) -> tuple[Costs, Moves]:
        """Extend the cheapest paths by columns; ``costs``: of those to each row, empty before the first.

        quiet: nepers of power of each column below loud speech. Returns the new costs, and how each cell is
        come to, [columns, rows]. ``distances`` is changed.
        """
        below = np.clip(quiet - _PAUSE_LEVEL, -_MAX_EXPONENT, _MAX_EXPONENT).astype(np.float64)
        distances[:, self.pauses] = (prices.pause / (1 + np.exp(below)) + _MIN_PAUSE_COST)[:, None]
        climbs = np.cumsum(np.where(self.pauses, 0.0, distances + prices.step), axis=1)
        diagonals = np.where(self.pauses, np.inf, 2 * distances)
        stays = distances + np.where(self.pauses, _PAUSE_STEP_COST, prices.step)
        made = np.zeros(distances.shape, np.uint8)
        for climb, diagonal, stay, moves in zip(climbs, diagonals, stays, made, strict=True):
            if not len(costs):
                # The path begins with the first row, or the first that is no pause.
                come = np.full(len(climb), np.inf)
                come[:2] = diagonal[1]
            else:
                come = diagonal.copy()
                come[1:] += costs[:-1]
                come[0] = np.inf
                stayed = costs + stay
                np.less(stayed, come, out=moves.view(np.bool_))
                come = np.minimum(come, stayed)
            # Going up is a running minimum along the sum of its costs.
            level = come - climb
            least = np.minimum.accumulate(level)
            moves[least < level] = UP
            costs = least + climb
        return costs, made


_USUAL = Prices(pause=1.8)


class WarpingPath:
    """The cheapest paths to each row (features or pauses) through the columns so far.

    A pause may be skipped at no cost, or stayed in; the first row is one.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._speech_rows = np.cumsum(~rows.pauses)
        self._weights = np.where(rows.pauses, 0.0, 1.0) / max(int(self._speech_rows[-1]), 1)
        self._total_distance = 0.0
        self._costs: Costs = np.zeros(0)
        self._moves: list[Moves] = []
        self._dropped = 0

    def __len__(self) -> int:
        return self._dropped + len(self._moves)

    def feed(self, columns: Matrix, quiet: Matrix) -> None:
        """Add columns [columns, dimensions]; quiet: nepers of power of each below loud speech."""
        distances = self._rows.distances(columns)
        self._total_distance += float((distances @ self._weights).sum())
        self._costs, moves = self._rows.advance(self._costs, distances, quiet, _USUAL)
        self._moves.extend(moves)

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
            row -= move != STAY
            column -= move != UP
        return way[::-1]

    def forget(self, before: int) -> None:
        """Free the columns before this one; they must not be backtracked to any more."""
        if before > self._dropped:
            del self._moves[: before - self._dropped]
            self._dropped = before
