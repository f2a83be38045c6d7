"""Spectra of the harmonic source for any frames by themselves, bit-exact with the published graph.

The source is a sum of nine sines, silent where nothing is voiced; its short-time spectra give the generator
its phase. Two of their properties are rounding errors, and audible nevertheless: phases grow to tens of
thousands of radians in float32, and a spectrum's empty bins contain only the noise of the transform. So every
sum and product is computed in onnxruntime's order, and the samples equal those of the graph to the last bit:

    linear interpolation   upsample.cc (UpsampleTrilinear: eight corners, two of them different)
    sine                   Eigen's psin: Cody and Waite's reduction, above 25966 an exact one
    sum of the harmonics   one fused multiply-add after the other
    tanh                   a quotient of polynomials (MLAS, tanh.cpp), with fused multiply-adds
    transform of 20        dft.cc: Bluestein's chirp, by two radix-2 transforms of 64 (``ChirpTransform``)

Only the last arctangent is not bit-exact: it is continuous wherever it is audible. With the order of
operations reproduced, frames do not depend on earlier ones, so each window computes only its own.
"""

import math

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, SAMPLE_RATE, Array

SIZE, HOP, BINS = 20, 5, 11
"""Samples of a spectrum, between two spectra; bins of a spectrum."""

HOPS = FRAME_SAMPLES // HOP
"""Spectra of a frame."""

_F = np.float32
_POINTS = 64
_BLOCK = 480
"""Spectra computed together: so many stay in the processor's cache."""

_PI = _F(math.pi)
_WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)).astype(np.float32)
_REVERSED = np.array([int(f"{point:06b}"[::-1], 2) for point in range(_POINTS)])
_OTHER_ROOT = (1, 3)
"""The sine that the C library of Linux rounds to the other neighbour, and onnxruntime with it."""

_RESULTS = (_POINTS - np.arange(BINS)) % _POINTS
"""Points of the second transform that hold the bins."""

# atan(t) / t for |t| ≤ 1 by powers of t², fitted: at most 1e-8 off.
_ARCTANGENT = (
    *(_F(2.7817e-3), _F(-0.01579384), _F(0.04224104), _F(-0.07465779), _F(0.10622653)),
    *(_F(-0.1419892), _F(0.19992017), _F(-0.33333044), _F(0.99999998)),
)


class ChirpTransform:
    """Short-time spectra of 20 samples; several threads may use its tables at once.

    A bin without energy contains only its rounding errors, so no other transform has the same phases. Rows
    [64, T] are points of T spectra.
    """

    def __init__(self) -> None:
        steps = np.arange(_POINTS, dtype=np.float32)
        circle = _on_circle(steps * (_F(-2) * _PI / _F(_POINTS)))
        circle[_OTHER_ROOT] = np.nextafter(circle[_OTHER_ROOT], _F(-1))
        self._stages = [_Stage(circle, 1 << power) for power in range(1, 7)]
        chirp = _on_circle(-_PI * steps[:SIZE] * steps[:SIZE] / _F(SIZE))
        self._real, self._imaginary = chirp[0][:, np.newaxis], chirp[1][:, np.newaxis]
        # The chirp's conjugate, at either end, transformed: what its convolution is a product with.
        real, imaginary = (np.zeros((_POINTS, 1), np.float32) for _ in range(2))
        for point in range(1 - SIZE, SIZE):
            row = _REVERSED[point % _POINTS]
            real[row], imaginary[row] = self._real[abs(point)], -self._imaginary[abs(point)]
        self._filter = self._transform(real, imaginary)

    def spectra(self, samples: Array, count: int) -> Array:
        """Compute magnitudes and phases [22, count] of windows ``HOP`` samples apart."""
        spectra = np.empty((2 * BINS, count), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(samples, SIZE)[: HOP * count : HOP].T
        for first in range(0, count, _BLOCK):
            spectra[:, first : first + _BLOCK] = self._block(windows[:, first : first + _BLOCK])
        return spectra

    def _block(self, windows: Array) -> Array:
        windowed = windows * _WINDOW[:, np.newaxis]
        real, imaginary = (_first_stages(windowed * chirp) for chirp in (self._real, self._imaginary))
        self._stages[1].apply(real[::4], imaginary[::4])
        for stage in self._stages[2:]:
            stage.apply(real, imaginary)
        a, b = self._filter
        real, imaginary = (each.reshape(_POINTS, -1) for each in (real, imaginary))
        filtered = real * a - imaginary * b, real * b + imaginary * a
        real, imaginary = (each[_REVERSED] for each in filtered)
        for stage in self._stages[:-2]:
            stage.apply(real, imaginary)
        # Only the butterflies of the last two stages that lead to the results.
        real, imaginary = (
            each.reshape(2, 2, _POINTS // 4, -1)[:, :, _RESULTS % (_POINTS // 4)].swapaxes(0, 1)
            for each in (real, imaginary)
        )
        for stage in self._stages[-2:]:
            real, imaginary = stage.outputs(real, imaginary, _RESULTS)
        x, y = real / _F(_POINTS), imaginary / _F(_POINTS)
        a, b = self._real[:BINS], self._imaginary[:BINS]
        real, imaginary = x * a - y * b, x * b + y * a
        return np.concatenate((np.sqrt(real * real + imaginary * imaginary), _angle(real, imaginary)))

    def _transform(self, real: Array, imaginary: Array) -> tuple[Array, Array]:
        """Radix-2 FFT of points [64, T] in bit-reversed order, in place."""
        for stage in self._stages:
            stage.apply(real, imaginary)
        return real, imaginary


class _Stage:
    """Butterflies of points that are ``size`` / 2 apart. Both roots are rounded by themselves."""

    def __init__(self, circle: Array, size: int) -> None:
        self._size = size
        self._roots = circle[:, :: _POINTS // size, np.newaxis]

    def apply(self, real: Array, imaginary: Array) -> None:
        """Compute them in place."""
        shape = (-1, 2, self._size // 2, real.shape[-1])
        real, imaginary = real.reshape(shape), imaginary.reshape(shape)
        (a, c), (b, d) = self._roots.reshape(2, 2, -1, 1)
        x, u = real[:, 0], real[:, 1]
        y, v = imaginary[:, 0], imaginary[:, 1]
        c_real, c_imaginary = c * u - d * v, c * v + d * u
        a_real, a_imaginary = a * u - b * v, a * v + b * u
        np.add(x, c_real, out=u)
        np.add(y, c_imaginary, out=v)
        x += a_real
        y += a_imaginary

    def outputs(self, real: Array, imaginary: Array, points: npt.NDArray[np.int64]) -> tuple[Array, Array]:
        """Compute some points of each group from the two halves [2, ...] of its butterflies."""
        (x, u), (y, v) = real, imaginary
        a, b = self._roots[:, points % self._size]
        return x + (a * u - b * v), y + (a * v + b * u)


def _first_stages(points: Array) -> Array:
    """Return points [20, T] after two stages of the transform: in 16 groups of 4.

    All others of the 64 are zero, and a butterfly of a point and a zero gives the point twice. So only
    every fourth group lacks its second stage.
    """
    rows = np.empty((_POINTS // 4, 4, points.shape[1]), np.float32)
    rows[_REVERSED[: _POINTS // 4] // 4] = points[: _POINTS // 4, np.newaxis]
    rows[_REVERSED[: SIZE - _POINTS // 4] // 4, 2:] = points[_POINTS // 4 :, np.newaxis]
    return rows


def _on_circle(angles: Array) -> Array:
    """Cosines and sines [2, n] of angles [n], rounded correctly: NumPy's own of float32 are not."""
    exact = angles.astype(np.float64)
    return np.stack((np.cos(exact), np.sin(exact))).astype(np.float32)


def _angle(real: Array, imaginary: Array) -> Array:
    """Compute the arctangent of both, in (−π, π]."""
    high, low = np.abs(imaginary), np.abs(real)
    with np.errstate(invalid="ignore"):
        part = np.minimum(high, low) / np.maximum(high, low)
    square = part * part
    angle = np.full_like(square, _ARCTANGENT[0])
    for factor in _ARCTANGENT[1:]:
        angle *= square
        angle += factor
    angle *= part
    np.subtract(_PI * _F(0.5), angle, out=angle, where=high > low)
    np.negative(angle, out=angle, where=(imaginary < 0) != (real < 0))
    turned = np.where(imaginary > 0, angle + _PI, angle - _PI)
    return np.asarray(np.where(real < 0, turned, angle), np.float32)


_STEP = 300
"""Samples of a pitch value."""
_HALF_STEP = _STEP // 2
_MARGIN = SIZE // 2
"""Samples mirrored at either end of an utterance."""

_VOICED_HZ = 10
_LOUDNESS, _TWO, _HALF = _F(0.1), _F(2), _F(0.5)
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
_PARTS_OF_HALF_PI = (_F(-1.5703125), _F(-4.8398972e-4), _F(1.6286504e-7), _F(5.5644315e-11))
# π / 2 in two parts, the first with so few bits that its product with a quadrant is exact.
_HALF_PI, _HALF_PI_REST = 1.57079632673412561417, 6.07710050650619224932e-11
_S1, _S2, _S3 = _F(-0.16666662), _F(8.3326874e-3), _F(-1.9592341e-4)
_C2, _C4, _C6 = _F(0.04166662), _F(-1.388652e-3), _F(2.4372266e-5)

_TANH_TOP = (
    *(_F(-2.7607684774e-16), _F(2.0001879048e-13), _F(-8.6046715221e-11), _F(5.1222970904e-8)),
    *(_F(1.4857223572e-5), _F(6.3726192888e-4), _F(4.8935245589e-3)),
)
_TANH_BOTTOM = (_F(1.1982583947e-6), _F(1.1853470569e-4), _F(2.2684346324e-3), _F(4.8935251855e-3))


class HarmonicSource:
    """The source, one of the parts of the published graph; several threads may use it at once."""

    def __init__(self) -> None:
        self._transform = ChirpTransform()

    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        """Compute the spectra of frames [first, end) of an utterance [1, 22, 120 (end − first) + 1].

        phase [1, 2F, 9] and pitch [1, 2F]: of all F frames, as in ``tools.kokoro_pack.graph_surgery``.
        """
        length = FRAME_SAMPLES * phase.shape[1] // 2
        begin, until = FRAME_SAMPLES * first - _MARGIN, FRAME_SAMPLES * end + _MARGIN
        samples = _samples(phase[0], pitch[0], max(begin, 0), min(until, length))
        # Samples beyond the ends are mirrored at the outermost ones.
        samples = np.pad(samples, (max(-begin, 0), max(until - length, 0)), mode="reflect")
        return self._transform.spectra(samples, HOPS * (end - first) + 1)[np.newaxis]


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


def _samples(phase: Array, pitch: Array, first: int, end: int) -> Array:
    """Compute the source's samples [first, end); phase [2F, 9], pitch [2F]."""
    # The phase is interpolated between the middles of two pitch values: by halves of a value.
    halves = np.arange(first // _HALF_STEP, -(-end // _HALF_STEP))
    samples = np.full((len(halves), _HALF_STEP), _tanh(_BIAS))
    voiced = pitch[halves // 2] > _VOICED_HZ
    if voiced.any():
        samples[voiced] = _tanh(_harmonics(phase, halves[voiced]) + _BIAS)
    skipped = first - _HALF_STEP * int(halves[0])
    return samples.ravel()[skipped : skipped + end - first]


def _harmonics(phase: Array, halves: npt.NDArray[np.int64]) -> Array:
    """Sum the harmonics of some halves of a pitch value [n, 150]."""
    last = len(phase) - 1
    low = np.clip((halves - 1) // 2, 0, last)
    high = np.minimum(low + 1, last)
    at = (_HALF_STEP * halves[:, np.newaxis] + np.arange(_HALF_STEP)).astype(np.float32)
    place = np.clip((at + _HALF) / _F(_STEP) - _HALF, _F(0), _F(last))
    same = (low == high)[:, np.newaxis]
    before = np.where(same, _HALF, np.abs(place - high[:, np.newaxis].astype(np.float32))) * _HALF
    after = np.where(same, _HALF, np.abs(place - low[:, np.newaxis].astype(np.float32))) * _HALF
    radians = phase * _TWO * _PI * _F(_STEP)
    total: Array = np.zeros_like(place)
    for harmonic, weight in enumerate(_WEIGHTS):
        one, other, shares = before, after, 2
        if harmonic == len(_WEIGHTS) - 1:
            one, other, shares = one * _HALF, other * _HALF, 4
        one, other = one * radians[low, harmonic, np.newaxis], other * radians[high, harmonic, np.newaxis]
        angle = one + other
        for _ in range(shares - 1):
            angle += one
            angle += other
        total = _fused(_sine(angle) * _LOUDNESS, weight, total)
    return total


def _fused(a: Array, b: Array | np.float32, c: Array | np.float32) -> Array:
    """Compute a · b + c, rounded once."""
    product = np.multiply(a, b, dtype=np.float64)
    product += c
    return np.asarray(product, np.float32)


def _sine(angle: Array) -> Array:
    """Compute the sine of angles ≥ 0."""
    rounded = angle * _TWO_PER_PI
    rounded += _ROUNDING
    rounded -= _ROUNDING
    rest = angle.copy()
    for part in _PARTS_OF_HALF_PI:
        rest += rounded * part
    quadrant = rounded.astype(np.int32)
    large = angle >= _LARGE
    if large.any():
        exact = angle[large].astype(np.float64)
        turns = np.rint(exact * (2 / math.pi))
        rest[large] = ((exact - turns * _HALF_PI) - turns * _HALF_PI_REST).astype(np.float32)
        quadrant[large] = turns.astype(np.int32)
    return _turned(rest, quadrant)


def _turned(rest: Array, quadrant: npt.NDArray[np.int32]) -> Array:
    """Compute sin(quadrant · π / 2 + rest), |rest| ≤ π / 4."""
    square = rest * rest
    sine = square * _S3
    sine += _S2
    sine *= square
    sine += _S1
    sine *= square
    sine *= rest
    sine += rest
    cosine = square * _C6
    for factor in (_C4, _C2, -_HALF, _F(1)):
        cosine += factor
        if factor != 1:
            cosine *= square
    np.copyto(sine, cosine, where=(quadrant & 1).astype(bool))
    np.negative(sine, out=sine, where=(quadrant & 2).astype(bool))
    return sine


def _tanh(value: Array | np.float32) -> Array:
    given = np.asarray(value, np.float32)
    square = given * given
    top, bottom = (np.full_like(square, factors[0]) for factors in (_TANH_TOP, _TANH_BOTTOM))
    for factor in _TANH_TOP[1:]:
        top = _fused(top, square, factor)
    for factor in _TANH_BOTTOM[1:]:
        bottom = _fused(bottom, square, factor)
    return np.asarray(top * given / bottom, np.float32)
