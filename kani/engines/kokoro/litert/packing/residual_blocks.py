"""Residual blocks over all of an utterance's rows, in int8 with dynamic steps, as parts of a LiteRT graph.

Each block has two adaptive instance norms (AdaIN), two convolutions of three taps, and a shortcut: a
convolution of one tap, or its input itself. A convolution's input is quantised by its extremes, like in the
published graph.
"""

from __future__ import annotations

import numpy as np

from kani.engines.kokoro.litert.packing.graph import Graph, Tensor
from kani.engines.kokoro.litert.packing.weights import PackedWeights
from kani.engines.kokoro.network.onnx_model import Array

_EPSILON = np.float32(1e-5)
_LEAK = 0.2
_ROOT_HALF = np.float32(np.sqrt(0.5))


class ResidualBlock:
    """(second(norm(first(norm(x)))) + shortcut(x)) / √2; with a pool, twice as many rows come out."""

    def __init__(self, packed: PackedWeights, name: str) -> None:
        self._packed, self._name = packed, name
        self.inputs = len(packed[f"{name}.conv1.smooth"])
        self.outputs = len(packed[f"{name}.conv2.bias"])
        self._pooled = f"{name}.pool.weight" in packed
        # Smoothing divides a convolution's input. It is folded with the norm before it, or with the pool.
        smooth = self._array("conv1.smooth"), self._array("conv2.smooth")
        first = np.ones_like(smooth[0]) if self._pooled else np.reciprocal(smooth[0])
        second = np.reciprocal(smooth[1])
        gains = [np.concatenate((np.ones_like(each), np.zeros_like(each))) for each in (first, second)]
        self.gain = np.concatenate(gains)
        self.factor = np.concatenate((first, first, second, second))
        """They fold the norms with the smoothing: coefficients = (norms + gain) · factor, where norms are
        gain − 1 and bias of the first norm, then of the second."""

    def add_to(self, graph: Graph, values: Tensor, coefficients: Tensor, first: int) -> Tensor:
        """Append the block; its coefficients are as many channels of ``coefficients`` as ``gain`` has, from
        ``first`` on.
        """
        made = self._normed(graph, values, coefficients, first)
        if self._pooled:
            made = self._pool(graph, made)
        made = self._convolved(graph, made, "conv1")
        made = self._normed(graph, made, coefficients, first + 2 * self.inputs)
        made = self._convolved(graph, made, "conv2")
        short = values
        if f"{self._name}.conv1x1.levels" in self._packed:
            short = self._convolved(graph, values, "conv1x1")
        if self._pooled:
            short = graph.split_rows(graph.beside(short, short), 2)
        return graph.multiply(graph.add(made, short), graph.constant(np.full(1, _ROOT_HALF)))

    def _array(self, kind: str) -> Array:
        return np.array(self._packed[f"{self._name}.{kind}"], np.float32)

    def _normed(self, graph: Graph, values: Tensor, coefficients: Tensor, first: int) -> Tensor:
        """Normalise each channel, apply gain and bias, and the leaky ReLU."""
        channels = graph.channels(values)
        gain = graph.select(coefficients, first, channels)
        bias = graph.select(coefficients, first + channels, channels)
        centred = graph.subtract(values, graph.mean_of_rows(values))
        variance = graph.mean_of_rows(graph.multiply(centred, centred))
        scale = graph.inverse_root(graph.add(variance, graph.constant(np.full(1, _EPSILON))))
        scaled = graph.multiply(centred, graph.multiply(scale, gain))
        return graph.leaky(graph.add(scaled, bias), _LEAK)

    def _convolved(self, graph: Graph, values: Tensor, kind: str) -> Tensor:
        levels = self._packed[f"{self._name}.{kind}.levels"].astype(np.int8)
        pad = levels.shape[2] // 2
        if pad:
            zeros = graph.constant(np.zeros((pad, levels.shape[1])))
            values = graph.stack(zeros, values, zeros)
        return graph.convolve(values, levels, self._array(f"{kind}.scale"), self._array(f"{kind}.bias"))

    def _pool(self, graph: Graph, values: Tensor) -> Tensor:
        """Depthwise transposed convolution of three taps and stride 2, and the smoothing."""
        smooth = self._array("conv1.smooth")
        before, here, after = self._array("pool.weight")[:, 0].T / smooth
        bias = graph.constant(self._array("pool.bias") / smooth)
        later = graph.stack(graph.rows(values, 1), graph.constant(np.zeros(self.inputs)))
        even = graph.add(graph.multiply(values, graph.constant(here)), bias)
        odd = graph.add(
            graph.multiply(values, graph.constant(after)), graph.multiply(later, graph.constant(before))
        )
        return graph.split_rows(graph.beside(even, graph.add(odd, bias)), 2)
