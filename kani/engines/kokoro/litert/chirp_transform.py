"""Short-time spectra of 20 samples, computed in the order of onnxruntime's operator (dft.cc).

That is Bluestein's chirp transform by two radix-2 transforms of 64 points. A bin without energy contains only
its rounding errors, so no other transform has the same phases. Rows [64, T] are points of T spectra.
"""

from __future__ import annotations

import math

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array

SIZE, HOP, BINS = 20, 5, 11
"""Samples of a spectrum, between two spectra; bins of a spectrum."""

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
    """The transform's tables; several threads may use it at once."""

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
        real, imaginary = (np.zeros((_POINTS, windowed.shape[1]), np.float32) for _ in range(2))
        rows = _REVERSED[:SIZE]
        np.multiply(windowed, self._real, out=windowed)
        real[rows] = windowed
        imaginary[rows] = windows * _WINDOW[:, np.newaxis] * self._imaginary
        real, imaginary = self._transform(real, imaginary)
        a, b = self._filter
        filtered = real * a - imaginary * b, real * b + imaginary * a
        real, imaginary = self._transform(*(each[_REVERSED] for each in filtered))
        x, y = real[_RESULTS] / _F(_POINTS), imaginary[_RESULTS] / _F(_POINTS)
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
        self._shape = (_POINTS // size, 2, size // 2, -1)
        roots = circle[:, :: _POINTS // size].reshape(2, 2, size // 2, 1)
        (self._a, self._c), (self._b, self._d) = roots

    def apply(self, real: Array, imaginary: Array) -> None:
        real, imaginary = real.reshape(self._shape), imaginary.reshape(self._shape)
        x, u = real[:, 0], real[:, 1]
        y, v = imaginary[:, 0], imaginary[:, 1]
        c_real, c_imaginary = self._c * u - self._d * v, self._c * v + self._d * u
        a_real, a_imaginary = self._a * u - self._b * v, self._a * v + self._b * u
        np.add(x, c_real, out=u)
        np.add(y, c_imaginary, out=v)
        x += a_real
        y += a_imaginary


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
