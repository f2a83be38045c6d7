"""Fused kernels between the convolutions, one pass over memory each, compiled by Numba.

Rows are steps in time, columns channels: [T, C]. *Levels* are a convolution's quantised input: unsigned
bytes, level = clip(⌊value / step + zero + ½⌋, 0, 255) with a step and a zero point for each channel. For a
convolution of dilation d the rows are distributed over d *phases* [d, ⌈T / d⌉, C], row t to phase t mod d at
t // d, and each phase is convolved without dilation. Rows outside of the utterance are zeros: their level is
``zero``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.kokoro.int8.numba_jit import compiled, inlined

_F = np.float32
_PARTS = _F(0.31830988618379067)
"""1 / π."""
# π in two parts, the first with so few bits that k times it is exact (Cody and Waite's reduction).
_PI, _PI_REST = _F(3.140625), _F(9.67653589793e-4)
# sin(r) / r − 1 for |r| ≤ π/2 by powers of r², fitted: at most 1e-6 off.
_S3, _S5, _S7 = _F(-0.16666647), _F(8.3328241e-3), _F(-1.9515296e-4)
_HALF, _ONE, _NONE, _MOST, _THIRD = _F(0.5), _F(1), _F(0), _F(255), _F(1 / 3)

# Without these sums are not vectorised over eight channels. Infinities and NaNs keep their meaning.
_MATHS = ("contract", "reassoc", "nsz", "arcp")


@inlined(*_MATHS)
def _level(value: Any, per_step: Any, zero: Any) -> Any:
    """Quantise a value."""
    level = min(max(value * per_step + zero, _NONE), _MOST)
    return np.uint8(np.int32(level + _HALF))


@inlined(*_MATHS)
def _zeros(zero: Any, out: Any) -> None:
    """Fill a row with the levels of zero."""
    for c in range(len(zero)):
        out[c] = np.uint8(zero[c])


@inlined(*_MATHS)
def _snake(value: Any, alpha: Any, inverse: Any) -> Any:
    """Compute value + sin²(alpha · value) / alpha (Ziyin, Hartwig and Ueda 2020); inverse: 1 / alpha."""
    angle = value * alpha
    turns = np.floor(angle * _PARTS + _HALF)
    rest = angle - turns * _PI - turns * _PI_REST
    square = rest * rest
    sine = rest * (_ONE + square * (_S3 + square * (_S5 + square * _S7)))
    return value + inverse * sine * sine


@inlined(*_MATHS)
def _mean(a: Any, more_a: Any, b: Any, more_b: Any, c: Any, more_c: Any, row: int, i: int) -> Any:
    """Mean of three branches, each the sum of its input and its last convolution."""
    total = a[row, i] + more_a[row, i] + b[row, i] + more_b[row, i] + c[row, i] + more_c[row, i]
    return total * _THIRD


_ROWS = "float32[:, ::1]"
_PHASED = "float32[:, :, ::1]"
_LEVELS = "uint8[:, :, ::1]"
_CHANNELS = ", ".join(["float32[::1]"] * 6)


@compiled(f"void({_PHASED}, {_CHANNELS}, {_LEVELS}, int64, int64)", *_MATHS)
def snake_levels(
    values: Any,
    scale: Any,
    shift: Any,
    alpha: Any,
    inverse: Any,
    per_step: Any,
    zero: Any,
    levels: Any,
    left: int,
    rows: int,
) -> None:
    """Quantise snake(scale · values + shift), with ``left`` rows of zeros before and zeros behind.

    values: ``rows`` rows in phases [e, ·, C]; levels [d, ·, C]; the others [C].
    """
    phases, length, channels = levels.shape
    given = values.shape[0]
    for phase in range(phases):
        for place in range(length):
            row = place * phases + phase - left
            out = levels[phase, place]
            if row < 0 or row >= rows:
                _zeros(zero, out)
                continue
            value = values[row % given, row // given]
            for c in range(channels):
                activated = _snake(value[c] * scale[c] + shift[c], alpha[c], inverse[c])
                out[c] = _level(activated, per_step[c], zero[c])


@compiled(f"void({_ROWS}, {_ROWS}, {_ROWS}, {_CHANNELS}, {_LEVELS}, int64)", *_MATHS)
def sum_snake_levels(
    values: Any,
    more: Any,
    total: Any,
    scale: Any,
    shift: Any,
    alpha: Any,
    inverse: Any,
    per_step: Any,
    zero: Any,
    levels: Any,
    left: int,
) -> None:
    """Sum and quantise: total = values + more, all [T, C], then ``snake_levels`` of total.

    ``total`` may be ``values``.
    """
    phases, length, channels = levels.shape
    rows = values.shape[0]
    for phase in range(phases):
        for place in range(length):
            row = place * phases + phase - left
            out = levels[phase, place]
            if row < 0 or row >= rows:
                _zeros(zero, out)
                continue
            one, other, both = values[row], more[row], total[row]
            for c in range(channels):
                value = one[c] + other[c]
                both[c] = value
                activated = _snake(value * scale[c] + shift[c], alpha[c], inverse[c])
                out[c] = _level(activated, per_step[c], zero[c])


@compiled(f"void({_ROWS}, float32, float32[::1], float32[::1], {_LEVELS}, int64)", *_MATHS)
def leaky_transposed_levels(
    features: Any, slope: Any, per_step: Any, zero: Any, levels: Any, left: int
) -> None:
    """Transpose and quantise leaky(features [C, ·]) behind ``left`` rows of zeros; levels [1, T, C]."""
    _, length, channels = levels.shape
    rows = features.shape[1]
    for place in range(length):
        row = place - left
        out = levels[0, place]
        if row < 0 or row >= rows:
            _zeros(zero, out)
            continue
        for c in range(channels):
            value = features[c, row]
            out[c] = _level(max(value, value * slope), per_step[c], zero[c])


_SIX = ", ".join([_ROWS] * 6)


@compiled(f"void({_SIX}, float32, float32[::1], float32[::1], {_LEVELS}, int64)", *_MATHS)
def mean_leaky_levels(
    a: Any,
    more_a: Any,
    b: Any,
    more_b: Any,
    c: Any,
    more_c: Any,
    slope: Any,
    per_step: Any,
    zero: Any,
    levels: Any,
    left: int,
) -> None:
    """Quantise leaky((a + more_a + b + more_b + c + more_c) / 3) behind ``left`` zeros; levels [1, T, C]."""
    _, length, channels = levels.shape
    rows = a.shape[0]
    for place in range(length):
        row = place - left
        out = levels[0, place]
        if row < 0 or row >= rows:
            _zeros(zero, out)
            continue
        for i in range(channels):
            value = _mean(a, more_a, b, more_b, c, more_c, row, i)
            out[i] = _level(max(value, value * slope), per_step[i], zero[i])


@compiled(f"void({_SIX}, float32, {_ROWS}, int64)", *_MATHS)
def mean_leaky(
    a: Any, more_a: Any, b: Any, more_b: Any, c: Any, more_c: Any, slope: Any, out: Any, left: int
) -> None:
    """Compute out [T, C] = leaky((a + more_a + b + more_b + c + more_c) / 3), with ``left`` zero rows before
    and zeros behind.
    """
    length, channels = out.shape
    rows = a.shape[0]
    for place in range(length):
        row = place - left
        if row < 0 or row >= rows:
            out[place] = _NONE
            continue
        for i in range(channels):
            value = _mean(a, more_a, b, more_b, c, more_c, row, i)
            out[place, i] = max(value, value * slope)


@compiled(f"void({_ROWS}, {_ROWS}, {_ROWS})", *_MATHS)
def add_two(values: Any, one: Any, other: Any) -> None:
    """Add in place: values += one + other, all [T, C]."""
    rows, channels = values.shape
    for row in range(rows):
        for c in range(channels):
            values[row, c] += one[row, c] + other[row, c]


@compiled(f"void({_ROWS}, {_ROWS}, float32[::1])", *_MATHS)
def overlap_add(spectra: Any, basis: Any, samples: Any) -> None:
    """Inverse STFT: samples [hop · T − hop + window] of T overlapping windows.

    spectra [T, 2 bins]: log magnitudes, and values whose sine is the phase; basis [2 bins, window]: of real
    and imaginary parts; the hop is a quarter of the window.
    """
    windows, doubled = spectra.shape
    bins = doubled // 2
    size = basis.shape[1]
    hop = size // 4
    samples[:] = _NONE
    for window in range(windows):
        out = samples[window * hop : window * hop + size]
        for k in range(bins):
            magnitude = np.exp(spectra[window, k])
            phase = np.sin(spectra[window, bins + k])
            real, imaginary = magnitude * np.cos(phase), magnitude * np.sin(phase)
            for i in range(size):
                out[i] += real * basis[k, i] + imaginary * basis[bins + k, i]


# For the kernels of ``features``: sums are computed in the order in which they are written.
_FEATURE_MATHS = ("contract", "nsz", "arcp")
_CHANNEL = "float32[::1]"


@compiled(f"void({_ROWS}, float64[::1], float64[::1], {_CHANNEL}, {_CHANNEL})", *_FEATURE_MATHS)
def sums_and_extremes(values: Any, total: Any, squares: Any, least: Any, most: Any) -> None:
    """Sum, sum of squares, minimum and maximum of each channel [C]."""
    total[:], squares[:] = 0.0, 0.0
    least[:], most[:] = values[0], values[0]
    rows, channels = values.shape
    # Four rows at a time: the accumulators are read and written less often.
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


@compiled(f"void({_ROWS}, {_CHANNEL}, {_CHANNEL}, float32, float32, uint8[:, ::1])", *_FEATURE_MATHS)
def leaky_levels(values: Any, per_step: Any, shift: Any, slope: Any, zero: Any, levels: Any) -> None:
    """Compute levels = clip(⌊leaky(per_step · values + shift) + zero + ½⌋, 0, 255); per_step, shift: [C]."""
    rows, channels = values.shape
    for row in range(rows):
        for c in range(channels):
            value = values[row, c] * per_step[c] + shift[c]
            level = min(max(max(value, value * slope) + zero, _NONE), _MOST)
            levels[row, c] = np.uint8(np.int32(level + _HALF))


@compiled(
    f"void({_ROWS}, {_CHANNEL}, {_CHANNEL}, float32, {_ROWS}, {_CHANNEL}, int64, {_ROWS})", *_FEATURE_MATHS
)
def upsample_depthwise(
    values: Any, scale: Any, shift: Any, slope: Any, weight: Any, bias: Any, first: int, pooled: Any
) -> None:
    """Depthwise transposed convolution of leaky(scale · values + shift): output rows [2 · first, ·).

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


@compiled(f"void({_ROWS}, float32, {_ROWS}, float32, {_CHANNEL}, int64, int64, {_ROWS})", *_FEATURE_MATHS)
def add_scaled(
    values: Any, step: Any, others: Any, other_step: Any, shift: Any, twice: int, first: int, out: Any
) -> None:
    """First columns of out [T, ·]: step · values + other_step · others + shift.

    values [T, C]: rows from ``first`` on; each row of ``others`` is repeated ``twice`` times.
    """
    rows, channels = values.shape
    for row in range(rows):
        other = others[(first + row) // twice]
        for c in range(channels):
            out[row, c] = step * values[row, c] + other_step * other[c] + shift[c]
