"""The part that ``graph_surgery`` calls the curves, pitch and energy, in int8 on LiteRT.

Two branches of three residual blocks, a core each where one is idle. The weights' levels are those of the
published graph.
"""

from __future__ import annotations

import numpy as np

from engines.kokoro.litert.graph import Graph, Model
from engines.kokoro.litert.packing.weights import CURVE_BLOCKS, CURVES, PackedWeights
from engines.kokoro.litert.residual_blocks import ResidualBlock
from engines.kokoro.network.cores import CorePool, SharedTask
from engines.kokoro.network.decoder import Curves
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped

_MOST, _LEAST_RANGE = 255, 1e-6


class CurveBranch:
    """Predicts a curve; its second block doubles the number of rows."""

    def __init__(self, packed: PackedWeights, name: str) -> None:
        self._blocks = [ResidualBlock(packed, f"{name}.{number}") for number in range(CURVE_BLOCKS)]
        self._weight = packed[f"{name}_proj.weight"].ravel().astype(np.float32)
        self._bias = np.float32(packed[f"{name}_proj.bias"].item())
        self.norms = sum(block.norms for block in self._blocks)
        """Length of the branch's norms, of all blocks together."""
        self._model = Model(self._graph())

    def compute(self, shared: Array, norms: Array, stop: Stop) -> Array:
        """Compute the curve [2F] of rows [F, C]. Raises Stopped."""
        if stop.is_set:
            raise Stopped
        coefficients = []
        for block in self._blocks:
            own, norms = np.split(norms, [block.norms])
            coefficients.append(block.coefficients(own))
        rows = self._model.run({"shared": shared, "coefficients": np.concatenate(coefficients)[np.newaxis]})[
            "rows"
        ]
        # The published graph rounds the last layer's input, too. Zero is among its levels.
        span = max(float(rows.max()), 0.0) - min(float(rows.min()), 0.0)
        step = np.float32(max(span, _LEAST_RANGE) / _MOST)
        return np.asarray(np.rint(rows / step) * step @ self._weight + self._bias, np.float32)

    def _graph(self) -> bytes:
        graph = Graph()
        values = graph.input("shared", self._blocks[0].inputs)
        coefficients, first = graph.input("coefficients", self.norms, rows=1), 0
        for block in self._blocks:
            values = block.add_to(graph, values, coefficients, first)
            first += block.norms
        return graph.finish(rows=values)


class LiteRtCurves:
    """Computes pitch and energy; thread-safe."""

    def __init__(self, packed: PackedWeights, cores: CorePool) -> None:
        """packed: by ``packing.curves``. Raises ModelFailed."""
        self._pitch, self._energy = (CurveBranch(packed, name) for name in CURVES)
        self._norms = Network(packed["norms"].tobytes(), 1)
        self._cores = cores

    def compute(self, shared: Array, style: Array, stop: Stop) -> Curves:
        """See ``FeatureDecoder.predict_curves``."""
        (norms,) = self._norms.run({"style": style}, ("own",), stop)
        of_pitch, of_energy = np.split(norms.ravel(), [self._pitch.norms])
        given = shared[:, 0]
        with self._cores.acquire() as helper:
            energy = SharedTask(lambda: self._energy.compute(given, of_energy, stop), helper)
            pitch = self._pitch.compute(given, of_pitch, stop)
            return Curves(pitch[np.newaxis], energy.result()[np.newaxis])
