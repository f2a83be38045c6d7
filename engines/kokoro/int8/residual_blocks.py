"""Residual blocks over all of an utterance's frames, in int8 with dynamic steps.

Each block has two norms (AdaIN), two convolutions of three taps, and a shortcut: a convolution of one tap, or
its input itself. A convolution's input is quantised by its extremes, like in the published graph. All arrays
are rows [T, C], split between two threads where a core is idle.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engines.kokoro.int8.convolution import Convolution, Levels
from engines.kokoro.int8.kernels import (
    add_scaled,
    leaky_levels,
    sums_and_extremes,
    upsample_depthwise,
)
from engines.kokoro.int8.packing.weights import PackedWeights
from engines.kokoro.network.cores import SharedTask
from engines.kokoro.network.onnx_model import Array

_EPSILON = 1e-5
_LEAK, _STRAIGHT = np.float32(0.2), np.float32(1)
_ROOT_HALF = np.float32(np.sqrt(0.5))
_MOST, _LEAST_RANGE = 255, 1e-6


class RowStatistics(NamedTuple):
    """Rows [T, C], and mean, variance, minimum and maximum of each channel [C]."""

    rows: Array
    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    least: Array
    most: Array


class LeakyAffine(NamedTuple):
    """leaky(scale · x + shift) of each channel [C]; a ``slope`` of 1 makes it linear."""

    scale: Array
    shift: Array
    slope: np.float32


@dataclass(frozen=True, slots=True, eq=False)
class ThreadPair:
    """The calling thread and, where a core is idle, a helper."""

    helper: ThreadPoolExecutor | None

    def split_rows(self, rows: int, make: Callable[[int, int], None]) -> None:
        """Call ``make(first, end)`` for all rows, in two parts. An even row stays with the next one.

        The cut does not depend on whether there is a helper: rounding of sums depends on it.
        """
        middle = rows // 4 * 2 or rows
        rest = SharedTask(lambda: make(middle, rows), self.helper) if middle < rows else None
        make(0, middle)
        if rest is not None:
            rest.result()

    def compute_with_statistics(self, rows: Array, make: Callable[[int, int], None]) -> RowStatistics:
        """Fill ``rows`` by ``make(first, end)`` and compute their statistics."""
        parts: dict[int, tuple[Array, ...]] = {}
        channels = rows.shape[1]

        def both(first: int, end: int) -> None:
            make(first, end)
            sums = np.empty((2, channels))
            extremes = np.empty((2, channels), np.float32)
            sums_and_extremes(rows[first:end], *sums, *extremes)
            parts[first] = (*sums, *extremes)

        self.split_rows(len(rows), both)
        total, squares, least, most = zip(*parts.values(), strict=True)
        mean = np.add.reduce(total) / len(rows)
        variance = np.maximum(np.add.reduce(squares) / len(rows) - np.square(mean), 0)
        return RowStatistics(rows, mean, variance, np.minimum.reduce(least), np.maximum.reduce(most))


def quantisation(least: Array, most: Array) -> tuple[float, np.float32]:
    """Value of the lowest level, and of a step, for all channels together; least, most: of each [C].

    Zero is among the levels.
    """
    low, high = min(float(least.min()), 0.0), max(float(most.max()), 0.0)
    return low, np.float32(max(high - low, _LEAST_RANGE) / _MOST)


class DynamicConvolution:
    """An int8 convolution with dynamic quantisation; its output lacks the bias and the factor of the step."""

    def __init__(self, packed: PackedWeights, name: str) -> None:
        def array(kind: str) -> Array:
            return np.array(packed[f"{name}.{kind}"], np.float32)

        scale = array("scale")
        levels = packed[f"{name}.levels"].astype(np.int8, copy=False)
        self._convolution = Convolution(levels, scale, np.zeros_like(scale))
        self._bias, self._lifted, self._smooth = array("bias"), array("lifted"), array("smooth")

    def quantise(
        self, given: RowStatistics, affine: LeakyAffine, threads: ThreadPair
    ) -> tuple[Levels, OutputScale]:
        """Apply ``affine``, quantise and pad the rows; returns their levels and the output's scale."""
        scale, shift = affine.scale / self._smooth, affine.shift / self._smooth
        ends = np.stack((given.least, given.most)) * scale + shift
        ends = np.maximum(ends, ends * affine.slope)
        low, step = quantisation(*ends)
        zero = np.float32(np.rint(-low / step))
        rows, channels = given.rows.shape
        pad = self._convolution.taps // 2
        levels = np.full((rows + 2 * pad, channels), zero, np.uint8)
        scale, shift = scale / step, shift / step

        def make(first: int, end: int) -> None:
            made = levels[pad + first : pad + end]
            leaky_levels(given.rows[first:end], scale, shift, affine.slope, zero, made)

        threads.split_rows(rows, make)
        return levels, OutputScale(step, self._bias - step * zero * self._lifted)

    def convolve(self, levels: Levels, out: Array, first: int, end: int) -> None:
        """Convolve rows [first, end) into ``out``."""
        out[first:end] = self._convolution(levels[None, first : end + self._convolution.taps - 1])[0]

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return len(self._bias)


class OutputScale(NamedTuple):
    """Completes a convolution's output: values · step + shift [C]."""

    step: np.float32
    shift: Array


class ResidualBlock:
    """(second(norm(first(norm(x)))) + shortcut(x)) / √2; with a pool, twice as many rows come out."""

    def __init__(self, packed: PackedWeights, name: str) -> None:
        self._first, self._second = (
            DynamicConvolution(packed, f"{name}.{kind}") for kind in ("conv1", "conv2")
        )
        self._shortcut = (
            DynamicConvolution(packed, f"{name}.conv1x1") if f"{name}.conv1x1.levels" in packed else None
        )
        self.inputs, self.outputs = len(packed[f"{name}.conv1.smooth"]), self._second.outputs
        self._pool: tuple[Array, Array] | None = None
        if f"{name}.pool.weight" in packed:
            weight = np.ascontiguousarray(packed[f"{name}.pool.weight"][:, 0].T.astype(np.float32))
            self._pool = weight, packed[f"{name}.pool.bias"].astype(np.float32)

    @property
    def rate(self) -> int:
        """Number of output rows for each input row."""
        return 1 if self._pool is None else 2

    @property
    def norms(self) -> int:
        """Length of the block's norms, of both together."""
        return 2 * self.inputs + 2 * self.outputs

    def apply(self, given: RowStatistics, norms: Array, room: Array, threads: ThreadPair) -> RowStatistics:
        """Compute the block for x [T, inputs] into the first columns of ``room``; the others are left alone.

        norms: gain − 1 and bias of the first norm, then of the second.
        """
        first_norm, second_norm = norms[: 2 * self.inputs], norms[2 * self.inputs :]
        affine = _normed(given, first_norm, np.float32(1))
        if self._pool is None:
            levels, rounding = self._first.quantise(given, affine, threads)
        else:
            pooled = self._pooled(given, affine, self._pool, threads)
            levels, rounding = self._first.quantise(pooled, _unchanged(self.inputs), threads)
        rows = len(room)
        between = self._convolved(self._first, levels, rows, threads)
        levels, own = self._second.quantise(between, _normed(between, second_norm, rounding.step), threads)
        short, other = self._short(given, threads)
        more = np.empty((rows, self.outputs), np.float32)
        steps = own.step * _ROOT_HALF, other.step * _ROOT_HALF
        shift = (own.shift + other.shift) * _ROOT_HALF

        def make(first: int, end: int) -> None:
            self._second.convolve(levels, more, first, end)
            add_scaled(more[first:end], steps[0], short, steps[1], shift, self.rate, first, room[first:end])

        return threads.compute_with_statistics(room, make)

    def _short(self, given: RowStatistics, threads: ThreadPair) -> tuple[Array, OutputScale]:
        """The shortcut's rows, as many as of the input, and their scale."""
        shortcut = self._shortcut
        if shortcut is None:
            return given.rows, OutputScale(np.float32(1), np.zeros(self.outputs, np.float32))
        levels, scale = shortcut.quantise(given, _unchanged(self.inputs), threads)
        short = np.empty((len(given.rows), self.outputs), np.float32)
        threads.split_rows(len(short), lambda first, end: shortcut.convolve(levels, short, first, end))
        return short, scale

    @staticmethod
    def _convolved(
        product: DynamicConvolution, levels: Levels, rows: int, threads: ThreadPair
    ) -> RowStatistics:
        values = np.empty((rows, product.outputs), np.float32)
        return threads.compute_with_statistics(
            values, lambda first, end: product.convolve(levels, values, first, end)
        )

    @staticmethod
    def _pooled(
        given: RowStatistics, affine: LeakyAffine, weights: tuple[Array, Array], threads: ThreadPair
    ) -> RowStatistics:
        pooled = np.empty((2 * len(given.rows), given.rows.shape[1]), np.float32)

        def make(first: int, end: int) -> None:
            upsample_depthwise(given.rows, *affine, *weights, first // 2, pooled[first:end])

        return threads.compute_with_statistics(pooled, make)


def _normed(given: RowStatistics, norm: Array, step: np.float32) -> LeakyAffine:
    """AdaIN of x, given the statistics of x / step, as an affine map; norm: gain − 1 and bias."""
    more, bias = np.split(norm, 2)
    exact = float(step)
    scale = (1 + more) * exact / np.sqrt(np.square(exact) * given.variance + _EPSILON)
    return LeakyAffine(scale.astype(np.float32), (bias - scale * given.mean).astype(np.float32), _LEAK)


def _unchanged(channels: int) -> LeakyAffine:
    return LeakyAffine(np.ones(channels, np.float32), np.zeros(channels, np.float32), _STRAIGHT)
