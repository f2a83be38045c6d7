"""The part that ``graph_surgery`` calls the decoder, prosody to features, in int8.

Five residual blocks over all of an utterance's frames, each of two norms (AdaIN), two convolutions of three
taps, and a shortcut of one tap. A convolution's input is quantised dynamically by its extremes, like in the
published graph. All arrays are rows [T, C], split between two threads where a core is idle.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from engines.kokoro.int8.convolution import Convolution, Levels
from engines.kokoro.int8.cores import CorePool, SharedTask
from engines.kokoro.int8.harmonic_source import HarmonicSource, harmonic_phase
from engines.kokoro.int8.kernels import (
    add_scaled,
    leaky_levels,
    sums_and_extremes,
    upsample_depthwise,
)
from engines.kokoro.int8.packing import PackedWeights
from engines.kokoro.network.decoder import DecodedFeatures
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped

_BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")
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
        low, high = min(float(ends.min()), 0.0), max(float(ends.max()), 0.0)
        step = np.float32(max(high - low, _LEAST_RANGE) / _MOST)
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


class FeatureBlock:
    """(second(norm(first(norm(x)))) + shortcut(x)) / √2; the last block doubles the number of rows."""

    def __init__(self, packed: PackedWeights, name: str) -> None:
        self._first, self._second, self._shortcut = (
            DynamicConvolution(packed, f"{name}.{kind}") for kind in ("conv1", "conv2", "conv1x1")
        )
        self.inputs, self.outputs = len(packed[f"{name}.conv1.smooth"]), self._second.outputs
        self._pool: tuple[Array, Array] | None = None
        if name == _BLOCKS[-1]:
            weight = np.ascontiguousarray(packed["pool.weight"][:, 0].T.astype(np.float32))
            self._pool = weight, packed["pool.bias"].astype(np.float32)

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
        straight, other = self._shortcut.quantise(given, _unchanged(self.inputs), threads)
        more = np.empty((rows, self.outputs), np.float32)
        short = np.empty((len(given.rows), self.outputs), np.float32)
        threads.split_rows(
            len(short), lambda first, end: self._shortcut.convolve(straight, short, first, end)
        )
        steps = own.step * _ROOT_HALF, other.step * _ROOT_HALF
        shift = (own.shift + other.shift) * _ROOT_HALF
        twice = rows // len(short)

        def make(first: int, end: int) -> None:
            self._second.convolve(levels, more, first, end)
            add_scaled(more[first:end], steps[0], short, steps[1], shift, twice, first, room[first:end])

        return threads.compute_with_statistics(room, make)

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


class Int8Features:
    """Computes features from prosody; thread-safe."""

    def __init__(self, packed: PackedWeights, cores: CorePool) -> None:
        """packed: built by ``features_packing``. Raises ModelFailed."""
        self._blocks = [FeatureBlock(packed, name) for name in _BLOCKS]
        self._pitch, self._energy = (
            (packed[f"{name}.weight"].ravel().astype(np.float32), np.float32(packed[f"{name}.bias"].item()))
            for name in ("F0_conv", "N_conv")
        )
        self._residual = torch.from_numpy(packed["asr_res.0.weight"][:, :, 0].astype(np.float32))
        self._residual_bias = torch.from_numpy(packed["asr_res.0.bias"].astype(np.float32))
        self._norms = Network(packed["norms"].tobytes(), 1)
        self._cores = cores

    @torch.inference_mode()
    def compute(
        self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop
    ) -> tuple[Array, Array, Array]:
        """Compute features, gain and bias; see ``FeatureDecoder.decode``."""
        gain, bias, own = self._norms.run({"style": style}, ("gain", "bias", "own"), stop)
        with self._cores.acquire() as helper:
            rows = self._rows(asr, pitch, energy, own.ravel(), ThreadPair(helper), stop)
        return np.ascontiguousarray(rows.T)[np.newaxis], gain, bias

    def _rows(
        self, asr: Array, pitch: Array, energy: Array, norms: Array, threads: ThreadPair, stop: Stop
    ) -> Array:
        """Compute the features [2F, 512]."""
        spoken = np.ascontiguousarray(asr[0].T)
        frames = len(spoken)
        residual = functional.linear(torch.from_numpy(spoken), self._residual, self._residual_bias).numpy()
        curves = [_halved(pitch[0], *self._pitch), _halved(energy[0], *self._energy)]
        given = np.column_stack((spoken, *curves))
        aside = np.column_stack((residual, *curves))
        seen = threads.compute_with_statistics(given, lambda first, end: None)
        for block in self._blocks:
            if stop.is_set:
                raise Stopped
            own, norms = np.split(norms, [2 * block.inputs + 2 * block.outputs])
            if block is self._blocks[-1]:
                room = np.empty((2 * frames, block.outputs), np.float32)
            else:
                room = np.empty((frames, block.outputs + aside.shape[1]), np.float32)
                room[:, block.outputs :] = aside
            seen = block.apply(seen, own, room, threads)
        return seen.rows


def _halved(curve: Array, weight: Array, bias: np.float32) -> Array:
    """Convolve a curve [2F] with three taps and a stride of two [F]."""
    padded = np.pad(curve, 1)
    first, middle, last = weight
    return np.asarray(first * padded[:-2:2] + middle * padded[1:-1:2] + last * padded[2::2] + bias)


class Int8FeatureDecoder:
    """See ``FeatureDecoder``."""

    def __init__(self, features: Int8Features, harmonics: HarmonicSource) -> None:
        self._features, self._harmonics = features, harmonics

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
        """See ``FeatureDecoder.decode``."""
        features, gain, bias = self._features.compute(asr, pitch, energy, style, stop)
        return DecodedFeatures(features, gain, bias, LazySource(self._harmonics, pitch))


class LazySource:
    """See ``Source``; computes only the frames asked for."""

    def __init__(self, harmonics: HarmonicSource, pitch: Array) -> None:
        """pitch: of all F frames [1, 2F]."""
        self._harmonics = harmonics
        self._pitch, self._phase = pitch, harmonic_phase(pitch)

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """See ``Source.spectra``; takes some milliseconds and cannot be cancelled."""
        return self._harmonics.spectra(self._phase, self._pitch, first, end)
