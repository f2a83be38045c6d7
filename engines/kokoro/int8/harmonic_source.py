"""Spectra of the harmonic source for any frames by themselves, bit-exact with the published graph.

The source is a sum of nine sines, silent where nothing is voiced; its short-time spectra give the generator
its phase. Two of their properties are rounding errors, and audible nevertheless: phases grow to tens of
thousands of radians in float32, and a spectrum's empty bins contain only the noise of the transform. So every
sum and product is computed in onnxruntime's order, and the samples equal those of the graph to the last bit:

    linear interpolation   upsample.cc (UpsampleTrilinear: eight corners, of which two differ)
    sine                   Eigen's psin: Cody and Waite's reduction, above 25966 an exact one
    sum of the harmonics   one fused multiply-add after the other
    tanh                   a quotient of polynomials (MLAS, tanh.cpp), with fused multiply-adds
    transform of 20        dft.cc: Bluestein's chirp, by two radix-2 transforms of 64

Only the last arctangent is not bit-exact: it is continuous wherever it is audible. With the order of
operations reproduced, frames do not depend on earlier ones, so each window computes only its own.

These kernels must not use fastmath: the compiler would change that order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engines.kokoro.int8.numba_jit import compiled, inlined
from engines.kokoro.network.onnx_model import SAMPLE_RATE, Array

_F = np.float32
_STEP, _FRAME, _HOP, _SIZE, _BINS = 300, 600, 5, 20, 11
"""Samples of a pitch value, of a frame, between two spectra and of a spectrum; bins of a spectrum."""

_MARGIN = _SIZE // 2
"""Samples mirrored at either end of an utterance."""

_VOICED_HZ = _F(10)
_LOUDNESS, _TWO, _PI, _HALF, _SILENCE = _F(0.1), _F(2), _F(math.pi), _F(0.5), _F(0)
# The layer that merges the harmonics (m_source.l_linear).
_WEIGHTS = np.array(
    [
        *(-0.081541866, -0.18519667, -0.18263398, -0.17837206, -0.098738946),
        *(0.082640395, 0.08743999, -0.39068547, -0.54774433),
    ],
    np.float32,
)
_BIAS = _F(-0.02945026010274887)

_LARGE = _F(25966)
_TWO_PER_PI, _ROUNDING = _F(0.63661977), _F(12582912)
_P1, _P2, _P3, _P4 = _F(-1.5703125), _F(-4.8398972e-4), _F(1.6286504e-7), _F(5.5644315e-11)
# π / 2 in two parts, the first with so few bits that its product with a quadrant is exact.
_HALF_PI, _HALF_PI_REST = 1.57079632673412561417, 6.07710050650619224932e-11
_S1, _S2, _S3 = _F(-0.16666662), _F(8.3326874e-3), _F(-1.9592341e-4)
_C2, _C4, _C6 = _F(0.04166662), _F(-1.388652e-3), _F(2.4372266e-5)

_TANH_TOP = (
    *(_F(-2.7607684774e-16), _F(2.0001879048e-13), _F(-8.6046715221e-11), _F(5.1222970904e-8)),
    *(_F(1.4857223572e-5), _F(6.3726192888e-4), _F(4.8935245589e-3)),
)
_TANH_BOTTOM = (_F(1.1982583947e-6), _F(1.1853470569e-4), _F(2.2684346324e-3), _F(4.8935251855e-3))
# atan(t) / t for |t| ≤ 1 by powers of t², fitted: at most 1e-8 off.
_A0, _A2, _A4, _A6 = _F(0.99999998), _F(-0.33333044), _F(0.19992017), _F(-0.1419892)
_A8, _A10, _A12, _A14, _A16 = _F(0.10622653), _F(-0.07465779), _F(0.04224104), _F(-0.01579384), _F(2.7817e-3)

_POINTS = 64
_LANES = 64
"""Spectra transformed together."""

_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE)).astype(np.float32)
_REVERSED = np.array([int(f"{point:06b}"[::-1], 2) for point in range(_POINTS)])


@inlined()
def _fused(a: Any, b: Any, c: Any) -> Any:
    """Compute a · b + c, rounded once."""
    return _F(np.float64(a) * np.float64(b) + np.float64(c))


@inlined()
def _small_sine(angle: Any) -> Any:
    """Compute sin(angle) for 0 ≤ angle < 25966."""
    rounded = angle * _TWO_PER_PI + _ROUNDING - _ROUNDING
    rest = angle + rounded * _P1
    rest = rest + rounded * _P2
    rest = rest + rounded * _P3
    rest = rest + rounded * _P4
    return _turned(rest, np.int32(rounded))


@inlined()
def _large_sine(angle: Any) -> Any:
    """Compute sin(angle) for angle ≥ 25966."""
    exact = np.float64(angle)
    quadrant = np.rint(exact * (2 / math.pi))
    rest = _F((exact - quadrant * _HALF_PI) - quadrant * _HALF_PI_REST)
    return _turned(rest, np.int32(quadrant))


@inlined()
def _turned(rest: Any, quadrant: Any) -> Any:
    """Compute sin(quadrant · π / 2 + rest), |rest| ≤ π / 4."""
    square = rest * rest
    sine = _S3 * square + _S2
    sine = (sine * square + _S1) * square
    sine = sine * rest + rest
    cosine = _C6 * square + _C4
    cosine = cosine * square + _C2
    cosine = cosine * square - _HALF
    cosine = cosine * square + _F(1)
    chosen = cosine if quadrant & 1 else sine
    return -chosen if quadrant & 2 else chosen


@inlined()
def _tanh(value: Any) -> Any:
    square = value * value
    top = _TANH_TOP[0]
    for factor in _TANH_TOP[1:]:
        top = _fused(top, square, factor)
    bottom = _TANH_BOTTOM[0]
    for factor in _TANH_BOTTOM[1:]:
        bottom = _fused(bottom, square, factor)
    return top * value / bottom


@inlined()
def _atan_of_quotient(top: Any, bottom: Any) -> Any:
    """Compute atan(top / bottom)."""
    high, low = abs(top), abs(bottom)
    part = min(high, low) / max(high, low)
    square = part * part
    more = _A8 + square * (_A10 + square * (_A12 + square * (_A14 + square * _A16)))
    angle = part * (_A0 + square * (_A2 + square * (_A4 + square * (_A6 + square * more))))
    angle = _PI * _HALF - angle if high > low else angle
    return -angle if (top < _SILENCE) != (bottom < _SILENCE) else angle


@compiled("void(float32[:, ::1], float32[::1], float32[::1], int64, float32[::1])")
def _harmonics(phase: Any, pitch: Any, weights: Any, first: int, samples: Any) -> None:
    """Compute the source's samples from ``first`` on; phase [n, 9], pitch [n], weights [9]."""
    values, harmonics = phase.shape
    silent = _tanh(_BIAS)
    end = first + len(samples)
    before = np.empty(_STEP // 2, np.float32)
    after = np.empty(_STEP // 2, np.float32)
    total = np.empty(_STEP // 2, np.float32)
    # The phase is interpolated between the middles of two pitch values.
    for half in range(first // (_STEP // 2), -(-end // (_STEP // 2))):
        begin = max(half * (_STEP // 2), first)
        made = samples[begin - first : (half + 1) * (_STEP // 2) - first]
        if not pitch[half // 2] > _VOICED_HZ:
            made[:] = silent
            continue
        low = min(max((half - 1) // 2, 0), values - 1)
        high = min(low + 1, values - 1)
        for i in range(len(made)):
            place = (_F(begin + i) + _HALF) / _F(_STEP) - _HALF
            place = max(min(place, _F(values - 1)), _SILENCE)
            before[i] = _HALF if low == high else abs(place - _F(high))
            after[i] = _HALF if low == high else abs(place - _F(low))
            total[i] = _SILENCE
        for k in range(harmonics):
            from_ = phase[low, k] * _TWO * _PI * _F(_STEP)
            to = phase[high, k] * _TWO * _PI * _F(_STEP)
            weight = weights[k]
            last = k == harmonics - 1
            small = max(from_, to) < _LARGE - _F(1)
            for i in range(len(made)):
                one, other = before[i] * _HALF, after[i] * _HALF
                if last:
                    one, other = one * _HALF * from_, other * _HALF * to
                    angle = ((((((one + other) + one) + other) + one) + other) + one) + other
                else:
                    one, other = one * from_, other * to
                    angle = ((one + other) + one) + other
                sine = _small_sine(angle) if small or angle < _LARGE else _large_sine(angle)
                total[i] = _fused(sine * _LOUDNESS, weight, total[i])
        for i in range(len(made)):
            made[i] = _tanh(total[i] + _BIAS)


@compiled("void(float32[:, ::1], float32[:, ::1], float32[:, ::1])")
def _transform(real: Any, imaginary: Any, circle: Any) -> None:
    """Radix-2 FFT in place, of points [64, lanes] in bit-reversed order; circle [64, 2]: the roots of one."""
    size = 2
    while size <= _POINTS:
        middle = size // 2
        for k in range(middle):
            first, second = circle[k * (_POINTS // size)], circle[(k + middle) * (_POINTS // size)]
            a, b, c, d = first[0], first[1], second[0], second[1]
            for at in range(k, _POINTS, size):
                even_re, even_im = real[at], imaginary[at]
                odd_re, odd_im = real[at + middle], imaginary[at + middle]
                for lane in range(_LANES):
                    x, y, u, v = even_re[lane], even_im[lane], odd_re[lane], odd_im[lane]
                    even_re[lane], even_im[lane] = x + (a * u - b * v), y + (a * v + b * u)
                    odd_re[lane], odd_im[lane] = x + (c * u - d * v), y + (c * v + d * u)
        size *= 2


_TABLE = "float32[:, ::1]"


@compiled(f"void(float32[::1], float32[::1], {_TABLE}, {_TABLE}, {_TABLE}, int64[::1], {_TABLE})")
def _spectra(
    samples: Any, window: Any, circle: Any, chirp: Any, filter_: Any, reversed_: Any, spectra: Any
) -> None:
    """Compute magnitudes and phases [22, T] of T windows; tables as in ``HarmonicSource``."""
    count = spectra.shape[1]
    real = np.empty((_POINTS, _LANES), np.float32)
    imaginary = np.empty((_POINTS, _LANES), np.float32)
    filtered_re = np.empty((_POINTS, _LANES), np.float32)
    filtered_im = np.empty((_POINTS, _LANES), np.float32)
    for first in range(0, count, _LANES):
        lanes = min(_LANES, count - first)
        real[:] = _SILENCE
        imaginary[:] = _SILENCE
        for point in range(_SIZE):
            row = reversed_[point]
            for lane in range(lanes):
                sample = samples[(first + lane) * _HOP + point] * window[point]
                real[row, lane] = sample * chirp[point, 0]
                imaginary[row, lane] = sample * chirp[point, 1]
        _transform(real, imaginary, circle)
        for point in range(_POINTS):
            row = reversed_[point]
            a, b = filter_[point, 0], filter_[point, 1]
            for lane in range(_LANES):
                x, y = real[point, lane], imaginary[point, lane]
                filtered_re[row, lane] = x * a - y * b
                filtered_im[row, lane] = x * b + y * a
        _transform(filtered_re, filtered_im, circle)
        for k in range(_BINS):
            row = (_POINTS - k) % _POINTS
            a, b = chirp[k, 0], chirp[k, 1]
            for lane in range(lanes):
                x, y = filtered_re[row, lane] / _F(_POINTS), filtered_im[row, lane] / _F(_POINTS)
                re, im = x * a - y * b, x * b + y * a
                angle = _atan_of_quotient(im, re)
                turned = angle + _PI if im > _SILENCE else angle - _PI
                spectra[k, first + lane] = np.sqrt(re * re + im * im)
                spectra[_BINS + k, first + lane] = turned if re < _SILENCE else angle


@compiled(f"void({_TABLE}, float32[::1])")
def _on_circle(points: Any, angles: Any) -> None:
    """points [n, 2]: cosine and sine of the angles [n], by the C library's functions of single precision."""
    for i in range(len(angles)):
        points[i, 0], points[i, 1] = math.cos(angles[i]), math.sin(angles[i])


class HarmonicSource:
    """The source of ``graph_surgery``'s part of that name; several threads may use it at once."""

    def __init__(self) -> None:
        steps = np.arange(_POINTS, dtype=np.float32)
        self._circle = np.empty((_POINTS, 2), np.float32)
        _on_circle(self._circle, steps * (-_TWO * _PI / _F(_POINTS)))
        self._chirp = np.empty((_SIZE, 2), np.float32)
        _on_circle(self._chirp, -_PI * steps[:_SIZE] * steps[:_SIZE] / _F(_SIZE))
        # The chirp's conjugate, at either end, transformed: what its convolution is a product with.
        real, imaginary = (np.zeros((_POINTS, _LANES), np.float32) for _ in range(2))
        for point in range(1 - _SIZE, _SIZE):
            cosine, sine = self._chirp[abs(point)]
            row = _REVERSED[point % _POINTS]
            real[row], imaginary[row] = cosine, -sine
        _transform(real, imaginary, self._circle)
        self._filter = np.stack((real[:, 0], imaginary[:, 0]), axis=1)

    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        """Compute the spectra of frames [first, end) of an utterance [1, 22, 120 (end − first) + 1].

        phase [1, 2F, 9] and pitch [1, 2F]: of all F frames, as in ``graph_surgery``.
        """
        length = _FRAME * phase.shape[1] // 2
        begin, until = _FRAME * first - _MARGIN, _FRAME * end + _MARGIN
        # Samples beyond the ends are mirrored at the outermost ones.
        samples = np.empty(min(until, length) - max(begin, 0), np.float32)
        _harmonics(
            np.ascontiguousarray(phase[0]),
            np.ascontiguousarray(pitch[0]),
            _WEIGHTS,
            max(begin, 0),
            samples,
        )
        samples = np.pad(samples, (max(-begin, 0), max(until - length, 0)), mode="reflect")
        hops = _FRAME // _HOP * (end - first) + 1
        spectra = np.empty((2 * _BINS, hops), np.float32)
        _spectra(samples, _WINDOW, self._circle, self._chirp, self._filter, _REVERSED, spectra)
        return spectra[np.newaxis]


def harmonic_phase(pitch: Array) -> Array:
    """Accumulated turns of each harmonic of a pitch [1, 2F]: [1, 2F, 9].

    Summed in float32, like in the published graph.
    """
    cycles = pitch[0, :, np.newaxis] * np.arange(1, len(_WEIGHTS) + 1, dtype=np.float32) / _F(SAMPLE_RATE)
    turns = np.asarray(cycles - np.floor(cycles), np.float32)
    # The graph's interpolation sums each value from four equal shares, the last harmonic's from eight.
    halved = np.concatenate((_of_shares(turns[:, :-1], 4), _of_shares(turns[:, -1:], 8)), axis=1)
    return np.cumsum(halved, axis=0, dtype=np.float32)[np.newaxis]


def _of_shares(values: Array, count: int) -> Array:
    """Sum each of ``values`` from ``count`` equal shares, rounding each time."""
    share = np.asarray(values / np.float32(count), np.float32)
    total = share
    for _ in range(count - 1):
        total = total + share
    return total
