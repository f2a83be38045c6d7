"""What stands between the decoder part's convolutions; compiled by Numba, as ``kernels``.

Rows are steps in time, columns channels: [T, C].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.kokoro.int8.numba_jit import compiled

_F = np.float32
_HALF, _NONE, _MOST = _F(0.5), _F(0), _F(255)
_MATHS = ("contract", "nsz", "arcp")
_ROWS = "float32[:, ::1]"
_CHANNELS = "float32[::1]"


@compiled(f"void({_ROWS}, float64[::1], float64[::1], {_CHANNELS}, {_CHANNELS})", *_MATHS)
def sums_and_extremes(values: Any, total: Any, squares: Any, least: Any, most: Any) -> None:
    """Of each channel [C]: the sum, the sum of squares, the least and the most value."""
    total[:], squares[:] = 0.0, 0.0
    least[:], most[:] = values[0], values[0]
    rows, channels = values.shape
    # Four rows at a time: what has been found so far is read and written less often.
    for row in range(0, rows - 3, 4):
        for i in range(channels):
            a, b, c, d = values[row, i], values[row + 1, i], values[row + 2, i], values[row + 3, i]
            total[i] += np.float64((a + b) + (c + d))
            squares[i] += np.float64((a * a + b * b) + (c * c + d * d))
            least[i] = min(least[i], min(min(a, b), min(c, d)))
            most[i] = max(most[i], max(max(a, b), max(c, d)))
    for row in range(rows // 4 * 4, rows):
        for i in range(channels):
            a = values[row, i]
            total[i] += np.float64(a)
            squares[i] += np.float64(a * a)
            least[i] = min(least[i], a)
            most[i] = max(most[i], a)


@compiled(f"void({_ROWS}, {_CHANNELS}, {_CHANNELS}, float32, float32, uint8[:, ::1])", *_MATHS)
def leaky_levels(values: Any, per_step: Any, shift: Any, slope: Any, zero: Any, levels: Any) -> None:
    """levels: clip(⌊leaky(per_step · values + shift) + zero + ½⌋, 0, 255); per_step, shift: [C]."""
    rows, channels = values.shape
    for row in range(rows):
        for c in range(channels):
            value = values[row, c] * per_step[c] + shift[c]
            level = min(max(max(value, value * slope) + zero, _NONE), _MOST)
            levels[row, c] = np.uint8(np.int32(level + _HALF))


@compiled(f"void({_ROWS}, {_CHANNELS}, {_CHANNELS}, float32, {_ROWS}, {_CHANNELS}, int64, {_ROWS})", *_MATHS)
def upsample_depthwise(
    values: Any, scale: Any, shift: Any, slope: Any, weight: Any, bias: Any, first: int, pooled: Any
) -> None:
    """Rows [2 · first, ·) of leaky(scale · values + shift), convolved transposed, each channel by itself.

    values: all rows; weight [3, C], stride 2.
    """
    rows, channels = values.shape
    made = len(pooled) // 2
    for at in range(made):
        row = first + at
        for c in range(channels):
            here = values[row, c] * scale[c] + shift[c]
            here = max(here, here * slope)
            pooled[2 * at, c] = here * weight[1, c] + bias[c]
            pooled[2 * at + 1, c] = here * weight[2, c] + bias[c]
        if row + 1 < rows:
            for c in range(channels):
                next_ = values[row + 1, c] * scale[c] + shift[c]
                pooled[2 * at + 1, c] += max(next_, next_ * slope) * weight[0, c]


@compiled(f"void({_ROWS}, float32, {_ROWS}, float32, {_CHANNELS}, int64, int64, {_ROWS})", *_MATHS)
def add_scaled(
    values: Any, step: Any, others: Any, other_step: Any, shift: Any, twice: int, first: int, out: Any
) -> None:
    """The first columns of out [T, ·]: step · values + other_step · others + shift.

    values [T, C]: the rows from the ``first`` on, of which each of ``others`` stands for ``twice``.
    """
    rows, channels = values.shape
    for row in range(rows):
        other = others[(first + row) // twice]
        for c in range(channels):
            out[row, c] = step * values[row, c] + other_step * other[c] + shift[c]
