"""The part that ``graph_surgery`` calls the curves, pitch and energy, in int8 on LiteRT.

Two branches of three residual blocks, a core each where one is idle. The weights' levels are those of the
published graph.
"""

from __future__ import annotations

import numpy as np

from kani.engines.kokoro.litert.model import Model
from kani.engines.kokoro.litert.packing.store import PackedArchive
from kani.engines.kokoro.litert.packing.weights import CURVES
from kani.engines.kokoro.network.cores import CorePool, SharedTask
from kani.engines.kokoro.network.decoder import Curves
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped

_MOST, _LEAST_RANGE = 255, 1e-6


class CurveBranch:
    """Predicts a curve; its second block doubles the number of rows."""

    def __init__(self, archive: PackedArchive, name: str) -> None:
        """name: one of ``CURVES``."""
        self._gain, self._factor = archive.array(f"{name}.gain"), archive.array(f"{name}.factor")
        self._weight = archive.array(f"{name}.weight").ravel()
        self._bias = np.float32(archive.array(f"{name}.bias").item())
        self._model = Model(archive.content(f"{name}.tflite"))

    @property
    def norms(self) -> int:
        """Length of the branch's norms, of all blocks together."""
        return len(self._gain)

    def compute(self, shared: Array, norms: Array, stop: Stop) -> Array:
        """Compute the curve [2F] of rows [F, C]. Raises Stopped."""
        if stop.is_set:
            raise Stopped
        coefficients = ((norms + self._gain) * self._factor)[np.newaxis]
        rows = self._model.run({"shared": shared, "coefficients": coefficients})["rows"]
        # The published graph rounds the last layer's input, too. Zero is among its levels.
        span = max(float(rows.max()), 0.0) - min(float(rows.min()), 0.0)
        step = np.float32(max(span, _LEAST_RANGE) / _MOST)
        return np.asarray(np.rint(rows / step) * step @ self._weight + self._bias, np.float32)


class LiteRtCurves:
    """Computes pitch and energy; thread-safe."""

    def __init__(self, archive: PackedArchive, cores: CorePool) -> None:
        """Raises ModelFailed."""
        self._pitch, self._energy = (CurveBranch(archive, name) for name in CURVES)
        self._norms = Network(archive.content("curves.norms.onnx"), 1)
        self._cores = cores

    def compute(self, shared: Array, style: Array, stop: Stop) -> Curves:
        (norms,) = self._norms.run({"style": style}, ("own",), stop)
        of_pitch, of_energy = np.split(norms.ravel(), [self._pitch.norms])
        given = shared[:, 0]
        with self._cores.acquire() as helper:
            energy = SharedTask(lambda: self._energy.compute(given, of_energy, stop), helper)
            pitch = self._pitch.compute(given, of_pitch, stop)
            return Curves(pitch[np.newaxis], energy.result()[np.newaxis])
