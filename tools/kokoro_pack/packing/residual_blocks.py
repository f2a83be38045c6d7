"""Residual blocks over all of an utterance's rows, in int8 with dynamic steps, as parts of a LiteRT graph.

Each block has two adaptive instance norms (AdaIN), two convolutions of three taps, and a shortcut: a
convolution of one tap, or its input itself. A convolution's input is quantised by its extremes, like in the
published graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.packing.graph import Graph, Tensor
from tools.kokoro_pack.packing.part import Part

_EPSILON = np.float32(1e-5)
_LEAK = 0.2
_ROOT_HALF = np.float32(np.sqrt(0.5))


class DynamicConvolution(NamedTuple):
    """A convolution in int8 of an input that is quantised by its own extremes."""

    levels: npt.NDArray[np.int8]  # of the weight [outputs, inputs, taps]
    unit: Array  # value of one level [outputs]
    bias: Array | None = None  # [outputs]
    smooth: Array | None = None  # divisor of each input before it is quantised [inputs]; None: 1

    def add_to(self, graph: Graph, values: Tensor) -> Tensor:
        """Append it to a graph, padded so that the length stays; its input is smoothed already."""
        pad = self.levels.shape[2] // 2
        if pad:
            zeros = graph.constant(np.zeros((pad, self.levels.shape[1])))
            values = graph.stack(zeros, values, zeros)
        return graph.convolve(values, self.levels, self.unit, self.bias)


class Pool(NamedTuple):
    """A depthwise transposed convolution of stride 2: twice as many rows come out."""

    weight: Array  # [channels, 1, 3]
    bias: Array  # [channels]

    @classmethod
    def read(cls, part: Part, block: str) -> Pool | None:
        """Read the pool of a block; None for a block without one."""
        node = f"{block}/pool/ConvTranspose"
        return cls(part.weight(node), part.bias(f"{block}.pool")) if part.has(node) else None


@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlock:
    """(second(norm(first(norm(x)))) + shortcut(x)) / √2; with a pool, twice as many rows come out."""

    first: DynamicConvolution
    second: DynamicConvolution
    shortcut: DynamicConvolution | None = None
    pool: Pool | None = None

    @property
    def inputs(self) -> int:
        return int(self.first.levels.shape[1])

    @property
    def coefficients(self) -> int:
        """Number of the block's coefficients: gain and bias of the first norm, then of the second."""
        return 2 * (self.inputs + int(self.second.levels.shape[1]))

    def folding(self) -> tuple[Array, Array]:
        """Return gain and factor: coefficients = (norms + gain) · factor, where norms are gain − 1 and bias.

        They fold the norms with the smoothing of the convolutions' inputs; that before the first is folded
        with the pool instead, if there is one.
        """
        convolutions = (self.second,) if self.pool else (self.first, self.second)
        factors = [np.ones(self.inputs, np.float32)] if self.pool else []
        factors += [np.reciprocal(_smooth(each)) for each in convolutions]
        gains = [np.concatenate((np.ones_like(each), np.zeros_like(each))) for each in factors]
        return np.concatenate(gains), np.concatenate([np.tile(each, 2) for each in factors])

    def add_to(self, graph: Graph, values: Tensor, coefficients: Tensor, place: int) -> Tensor:
        """Append the block; its coefficients are the channels of ``coefficients`` from ``place`` on."""
        made = _normed(graph, values, coefficients, place)
        if self.pool is not None:
            made = _pooled(graph, made, self.pool, _smooth(self.first))
        made = self.first.add_to(graph, made)
        made = _normed(graph, made, coefficients, place + 2 * self.inputs)
        made = self.second.add_to(graph, made)
        short = values if self.shortcut is None else self.shortcut.add_to(graph, values)
        if self.pool is not None:
            short = graph.split_rows(graph.beside(short, short), 2)
        return graph.multiply(graph.add(made, short), graph.constant(np.full(1, _ROOT_HALF)))


def coefficients_input(graph: Graph, blocks: Sequence[ResidualBlock]) -> Tensor:
    """Declare the input with the coefficients of all blocks, one after the other."""
    return graph.input("coefficients", sum(block.coefficients for block in blocks), rows=1)


def folding_content(name: str, blocks: Sequence[ResidualBlock]) -> dict[str, npt.NDArray[np.generic]]:
    """Return what the coefficients of a graph's blocks are computed from."""
    gains, factors = zip(*(block.folding() for block in blocks), strict=True)
    return {f"{name}.gain": np.concatenate(gains), f"{name}.factor": np.concatenate(factors)}


def _smooth(convolution: DynamicConvolution) -> Array:
    if convolution.smooth is not None:
        return convolution.smooth
    return np.ones(convolution.levels.shape[1], np.float32)


def _normed(graph: Graph, values: Tensor, coefficients: Tensor, place: int) -> Tensor:
    """Normalise each channel, apply gain and bias, and the leaky ReLU."""
    channels = graph.channels(values)
    gain = graph.select(coefficients, place, channels)
    bias = graph.select(coefficients, place + channels, channels)
    centred = graph.subtract(values, graph.mean_of_rows(values))
    variance = graph.mean_of_rows(graph.multiply(centred, centred))
    scale = graph.inverse_root(graph.add(variance, graph.constant(np.full(1, _EPSILON))))
    scaled = graph.multiply(centred, graph.multiply(scale, gain))
    return graph.leaky(graph.add(scaled, bias), _LEAK)


def _pooled(graph: Graph, values: Tensor, pool: Pool, smooth: Array) -> Tensor:
    """Append a pool, and the smoothing of the convolution after it."""
    before, here, after = pool.weight[:, 0].T / smooth
    bias = graph.constant(pool.bias / smooth)
    later = graph.stack(graph.rows(values, 1), graph.constant(np.zeros(len(smooth))))
    even = graph.add(graph.multiply(values, graph.constant(here)), bias)
    odd = graph.add(
        graph.multiply(values, graph.constant(after)), graph.multiply(later, graph.constant(before))
    )
    return graph.split_rows(graph.beside(even, graph.add(odd, bias)), 2)
