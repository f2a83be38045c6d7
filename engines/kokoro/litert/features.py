"""The part that ``graph_surgery`` calls the decoder, prosody to features, in int8 on LiteRT.

Five residual blocks, of which the last doubles the number of rows.
"""

from __future__ import annotations

import numpy as np

from engines.kokoro.litert.graph import Graph, Model
from engines.kokoro.litert.packing.weights import PackedWeights
from engines.kokoro.litert.residual_blocks import ResidualBlock
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped

_BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")


class LiteRtFeatures:
    """Computes features from prosody; thread-safe."""

    def __init__(self, packed: PackedWeights, threads: int) -> None:
        """packed: by ``packing.features``; threads: of one call. Raises ModelFailed."""
        self._blocks = [ResidualBlock(packed, name) for name in _BLOCKS]
        self._halvings = [
            (packed[f"{name}.weight"].ravel().astype(np.float32), np.float32(packed[f"{name}.bias"].item()))
            for name in ("F0_conv", "N_conv")
        ]
        self._norms = Network(packed["norms"].tobytes(), 1)
        self._model = Model(_graph(packed, self._blocks), threads)

    def compute(
        self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop
    ) -> tuple[Array, Array, Array]:
        """Compute features, gain and bias; see ``FeatureDecoder.decode``. Raises Stopped."""
        gain, bias, own = self._norms.run({"style": style}, ("gain", "bias", "own"), stop)
        coefficients, norms = [], own.ravel()
        for block in self._blocks:
            used, norms = np.split(norms, [block.norms])
            coefficients.append(block.coefficients(used))
        if stop.is_set:
            raise Stopped
        curves = [
            _halved(curve[0], *halving)
            for curve, halving in zip((pitch, energy), self._halvings, strict=True)
        ]
        made = self._model.run(
            {
                "spoken": asr[0].T,
                "curves": np.column_stack(curves),
                "coefficients": np.concatenate(coefficients)[np.newaxis],
            }
        )
        return np.ascontiguousarray(made["features"].T)[np.newaxis], gain, bias


def _graph(packed: PackedWeights, blocks: list[ResidualBlock]) -> bytes:
    graph = Graph()
    weight = packed["asr_res.0.weight"].astype(np.float32)
    spoken, curves = graph.input("spoken", weight.shape[1]), graph.input("curves", 2)
    coefficients = graph.input("coefficients", sum(block.norms for block in blocks), rows=1)
    residual = graph.convolve_exactly(spoken, weight, packed["asr_res.0.bias"].astype(np.float32))
    aside = graph.beside(residual, curves)
    values, first = graph.beside(spoken, curves), 0
    for block in blocks:
        if first:
            values = graph.beside(values, aside)
        values = block.add_to(graph, values, coefficients, first)
        first += block.norms
    return graph.finish(features=values)


def _halved(curve: Array, weight: Array, bias: np.float32) -> Array:
    """Convolve a curve [2F] with three taps and a stride of two [F]."""
    padded = np.pad(curve, 1)
    first, middle, last = weight
    return np.asarray(first * padded[:-2:2] + middle * padded[1:-1:2] + last * padded[2::2] + bias)
