"""The part that ``graph_surgery`` calls the decoder, prosody to features, in int8 on LiteRT."""

from __future__ import annotations

import threading

import numpy as np

from kani.engines.kokoro.litert.model import Model
from kani.engines.kokoro.litert.packing.store import PackedArchive
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped

_MOST_THREADS = 2
"""Threads of one call."""


class LiteRtFeatures:
    """Computes features from prosody; thread-safe."""

    def __init__(self, archive: PackedArchive, cores: int) -> None:
        """cores: for all calls together. Raises ModelFailed."""
        threads = min(cores, _MOST_THREADS)
        # An interpreter takes 80 MB. With more of them than cores each call would only be slower.
        self._turns = threading.BoundedSemaphore(cores // threads)
        self._gain, self._factor = archive.array("features.gain"), archive.array("features.factor")
        self._halvings = [
            (archive.array(f"{name}.weight").ravel(), np.float32(archive.array(f"{name}.bias").item()))
            for name in ("F0_conv", "N_conv")
        ]
        self._norms = Network(archive.content("features.norms.onnx"), 1)
        self._model = Model(archive.content("features.tflite"), threads)

    def compute(
        self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop
    ) -> tuple[Array, Array, Array]:
        """Compute features, gain and bias; see ``FeatureDecoder.decode``. Raises Stopped."""
        gain, bias, norms = self._norms.run({"style": style}, ("gain", "bias", "own"), stop)
        curves = [
            _halved(curve[0], *halving)
            for curve, halving in zip((pitch, energy), self._halvings, strict=True)
        ]
        inputs = {
            "spoken": asr[0].T,
            "curves": np.column_stack(curves),
            "coefficients": (norms.reshape(1, -1) + self._gain) * self._factor,
        }
        with self._turns:
            if stop.is_set:
                raise Stopped
            made = self._model.run(inputs)
        return np.ascontiguousarray(made["features"].T)[np.newaxis], gain, bias


def _halved(curve: Array, weight: Array, bias: np.float32) -> Array:
    """Convolve a curve [2F] with three taps and a stride of two [F]."""
    padded = np.pad(curve, 1)
    first, middle, last = weight
    return np.asarray(first * padded[:-2:2] + middle * padded[1:-1:2] + last * padded[2::2] + bias)
