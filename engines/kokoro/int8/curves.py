"""The part that ``graph_surgery`` calls the curves, pitch and energy, in int8.

Two branches of three residual blocks, a core each where one is idle. The levels are those of the published
graph, so that pitch and energy are its own but for what differs in the rounding of float32.
"""

from __future__ import annotations

import numpy as np

from engines.kokoro.int8.packing.weights import CURVE_BLOCKS, CURVES, PackedWeights
from engines.kokoro.int8.residual_blocks import ResidualBlock, RowStatistics, ThreadPair, quantisation
from engines.kokoro.network.cores import CorePool, SharedTask
from engines.kokoro.network.decoder import Curves
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped


class CurveBranch:
    """Predicts a curve; its second block doubles the number of rows."""

    def __init__(self, packed: PackedWeights, name: str) -> None:
        self._blocks = [ResidualBlock(packed, f"{name}.{number}") for number in range(CURVE_BLOCKS)]
        self._weight = packed[f"{name}_proj.weight"].ravel().astype(np.float32)
        self._bias = np.float32(packed[f"{name}_proj.bias"].item())
        self.norms = sum(block.norms for block in self._blocks)
        """Length of the branch's norms, of all blocks together."""

    def compute(self, given: RowStatistics, norms: Array, threads: ThreadPair, stop: Stop) -> Array:
        """Compute the curve [2F] of rows [F, C]. Raises Stopped."""
        for block in self._blocks:
            if stop.is_set:
                raise Stopped
            own, norms = np.split(norms, [block.norms])
            room = np.empty((block.rate * len(given.rows), block.outputs), np.float32)
            given = block.apply(given, own, room, threads)
        # The published graph rounds the last layer's input, too.
        _, step = quantisation(given.least, given.most)
        return np.asarray(np.rint(given.rows / step) * step @ self._weight + self._bias, np.float32)


class Int8Curves:
    """Computes pitch and energy; thread-safe."""

    def __init__(self, packed: PackedWeights, cores: CorePool) -> None:
        """packed: built by ``packing.curves``. Raises ModelFailed."""
        self._pitch, self._energy = (CurveBranch(packed, name) for name in CURVES)
        self._norms = Network(packed["norms"].tobytes(), 1)
        self._cores = cores

    def compute(self, shared: Array, style: Array, stop: Stop) -> Curves:
        """See ``FeatureDecoder.predict_curves``."""
        (norms,) = self._norms.run({"style": style}, ("own",), stop)
        of_pitch, of_energy = np.split(norms.ravel(), [self._pitch.norms])
        alone = ThreadPair(None)
        with self._cores.acquire() as helper:
            given = alone.compute_with_statistics(shared[:, 0], lambda first, end: None)
            energy = SharedTask(lambda: self._energy.compute(given, of_energy, alone, stop), helper)
            pitch = self._pitch.compute(given, of_pitch, alone, stop)
            return Curves(pitch[np.newaxis], energy.result()[np.newaxis])
