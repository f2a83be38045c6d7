"""What stands between the convolutions: one pass over memory each, compiled by Numba.

Rows are steps in time, columns channels: [T, C]. *Levels* are what a convolution takes: unsigned bytes,
level = clip(⌊value / step + zero + ½⌋, 0, 255) with a step and a zero for each channel. For a convolution of
dilation d rows are dealt to d *phases* [d, ⌈T / d⌉, C], row t to phase t mod d at t // d, each of which is
convolved without dilation. Rows that lie outside of the utterance are zeros: their level is ``zero``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.kokoro.int8.numba_jit import compiled, inlined

_F = np.float32
_PARTS = _F(0.31830988618379067)
"""1 / π."""
# π in two parts, the first exact in so few bits that k times it is, too (Cody and Waite's reduction).
_PI, _PI_REST = _F(3.140625), _F(9.67653589793e-4)
# sin(r) / r − 1 for |r| ≤ π/2 by powers of r², fitted: at most 1e-6 off.
_S3, _S5, _S7 = _F(-0.16666647), _F(8.3328241e-3), _F(-1.9515296e-4)
_HALF, _ONE, _NONE, _MOST, _THIRD = _F(0.5), _F(1), _F(0), _F(255), _F(1 / 3)

# Without these a sum is not computed eight channels at a time. Infinities and NaNs keep their meaning.
_MATHS = ("contract", "reassoc", "nsz", "arcp")


@inlined(*_MATHS)
def _level(value: Any, per_step: Any, zero: Any) -> Any:
    """The level of a value."""
    level = min(max(value * per_step + zero, _NONE), _MOST)
    return np.uint8(np.int32(level + _HALF))


@inlined(*_MATHS)
def _zeros(zero: Any, out: Any) -> None:
    """A row of zeros, as levels."""
    for c in range(len(zero)):
        out[c] = np.uint8(zero[c])


@inlined(*_MATHS)
def _snake(value: Any, alpha: Any, inverse: Any) -> Any:
    """value + sin²(alpha · value) / alpha (Ziyin, Hartwig and Ueda 2020); inverse: 1 / alpha."""
    angle = value * alpha
    turns = np.floor(angle * _PARTS + _HALF)
    rest = angle - turns * _PI - turns * _PI_REST
    square = rest * rest
    sine = rest * (_ONE + square * (_S3 + square * (_S5 + square * _S7)))
    return value + inverse * sine * sine


@inlined(*_MATHS)
def _mean(a: Any, more_a: Any, b: Any, more_b: Any, c: Any, more_c: Any, row: int, i: int) -> Any:
    """Of three branches, each of which is what came in plus its last convolution."""
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
    """levels: those of snake(scale · values + shift), behind ``left`` rows of zeros, and zeros behind them.

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
                heard = _snake(value[c] * scale[c] + shift[c], alpha[c], inverse[c])
                out[c] = _level(heard, per_step[c], zero[c])


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
    """total: values + more, all [T, C]; levels: as ``snake_levels`` of that. ``total`` may be ``values``."""
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
                heard = _snake(value * scale[c] + shift[c], alpha[c], inverse[c])
                out[c] = _level(heard, per_step[c], zero[c])


@compiled(f"void({_ROWS}, float32, float32[::1], float32[::1], {_LEVELS}, int64)", *_MATHS)
def leaky_transposed_levels(
    features: Any, slope: Any, per_step: Any, zero: Any, levels: Any, left: int
) -> None:
    """levels [1, T, C]: those of leaky(features) behind ``left`` rows of zeros; features: [C, ·], turned."""
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
    """levels [1, T, C]: of leaky((a + more_a + b + more_b + c + more_c) / 3), as ``features_levels``."""
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
    """out [T, C]: leaky((a + more_a + b + more_b + c + more_c) / 3) behind ``left`` zeros, before others."""
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
    """values: plus one, plus other; all [T, C]."""
    rows, channels = values.shape
    for row in range(rows):
        for c in range(channels):
            values[row, c] += one[row, c] + other[row, c]


@compiled(f"void({_ROWS}, {_ROWS}, float32[::1])", *_MATHS)
def overlap_add(spectra: Any, basis: Any, samples: Any) -> None:
    """The inverse short-time transform: samples [hop · T − hop + window] of T windows that overlap.

    spectra [T, 2 bins]: log magnitudes, and what phases are the sine of; basis [2 bins, window]:
    of real and imaginary parts; the hop is a quarter of the window.
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
