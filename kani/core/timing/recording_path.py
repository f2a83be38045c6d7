"""The cheapest path through a long recording and its reference speech, in bounded memory.

It is looked for in long steps first, over everything, then in shorter ones, each near the path before it. Of
the costs only those at some columns are kept: the moves between two of these are computed again on the way
back.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kani.core.timing.cepstra import SLOPE_FRAMES, Matrix, with_slopes
from kani.core.timing.dtw import STAY, UP, Costs, Moves, Prices, Rows

Indices = npt.NDArray[np.int32]

BLOCK = 256
"""Columns between two that costs are kept of; in a block the same rows are looked at."""

_CELLS_AT_ONCE = 300_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Frames, or means of several: normalised cepstra [columns, cepstra] and nepers below loud speech."""

    rows: Matrix
    quiet: Matrix
    slope: float
    """Weight of the slopes."""

    def features(self, first: int, end: int) -> Matrix:
        before, after = max(first - SLOPE_FRAMES, 0), min(end + SLOPE_FRAMES, len(self.rows))
        return with_slopes(self.rows[before:after], first - before, after - end, self.slope)


class Path(NamedTuple):
    """Cells in order: a row and a column of each."""

    rows: Indices
    columns: Indices


def cheapest_path(
    rows: Rows, columns: Columns, bands: list[tuple[int, int]], prices: Prices
) -> Generator[None, None, Path]:
    """Return the path from the first row and column to the last; yields after each piece of the work.

    bands: rows [low, high) of each ``BLOCK`` of columns, never falling; each overlaps the next.
    """
    count = len(columns.rows)

    def advance(costs: Costs, low: int, high: int, first: int, end: int) -> Iterator[tuple[Costs, Moves]]:
        part = rows.part(low, high)
        step = max(1, _CELLS_AT_ONCE // (high - low))
        for at in range(first, end, step):
            to = min(at + step, end)
            distances = part.distances(columns.features(at, to))
            costs, moves = part.advance(costs, distances, columns.quiet[at:to], prices)
            yield costs, moves

    kept: list[npt.NDArray[np.float32]] = []
    costs: Costs = np.zeros(0)
    before = bands[0]
    for at, (low, high) in enumerate(bands):
        if at:
            moved = np.full(high - low, np.inf)
            overlap = min(before[1], high)
            moved[: overlap - low] = costs[low - before[0] : overlap - before[0]]
            costs = moved - np.min(moved)
        kept.append(costs.astype(np.float32))
        before = low, high
        for extended, _ in advance(costs, low, high, at * BLOCK, min((at + 1) * BLOCK, count)):
            costs = extended
            yield
    row, blocks = len(rows.pauses) - 1, list[Indices]()
    for at in reversed(range(len(bands))):
        low, first, end = bands[at][0], at * BLOCK, min((at + 1) * BLOCK, count)
        # Rows above the path are of no use on the way back.
        moves, high = list[Moves](), max(row + 1, low + 2)
        for _, made in advance(kept.pop()[: high - low].astype(np.float64), low, high, first, end):
            moves.extend(made)
            yield
        column, cells = end - 1, list[tuple[int, int]]()
        while column >= first:
            cells.append((row, column))
            move = moves[column - first][row - low]
            row -= move != STAY
            column -= move != UP
        row = max(row, 0)
        blocks.append(np.array(cells[::-1], np.int32))
    return Path(*np.concatenate(blocks[::-1]).T)


def near(
    path: Path, frames: Indices, step: int, finer: Indices, finer_step: int, count: int, margin: int
) -> list[tuple[int, int]]:
    """Return the bands of a finer search around a path.

    frames, finer: reference frame at which each row of the path's search, and of the finer one, begins;
    step, finer_step: frames of their columns; count: frames of the recording; margin: reference frames.
    """
    bands = []
    for first in range(0, count, BLOCK * finer_step):
        edges = first, min(first + BLOCK * finer_step, count)
        begin = min(int(np.searchsorted(path.columns, edges[0] // step, "left")), len(path.rows) - 1)
        end = max(int(np.searchsorted(path.columns, edges[1] // step, "right")), 1)
        low = np.searchsorted(finer, frames[path.rows[begin]] - margin, "left")
        high = np.searchsorted(finer, frames[path.rows[end - 1]] + step + margin, "right")
        bands.append((int(low), int(high)))
    bands[0] = 0, bands[0][1]
    bands[-1] = bands[-1][0], len(finer)
    return bands
