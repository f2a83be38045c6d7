"""Decodes whole utterances by the graph's own norms, and records the statistics that these found."""

from __future__ import annotations

import numpy as np

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop
from kani.engines.kokoro.network.parts import Features, NormStatistics

RECORDER = "recorder"
"""Name of the part (``recorder_surgery``)."""


class StatisticsRecorder:
    def __init__(self, onnx: bytes, threads: int) -> None:
        """threads: cores for one call. Raises ModelFailed."""
        self._network = Network(onnx, threads, shrink_arena=True)

    def record(self, features: Features, stop: Stop) -> tuple[Samples, NormStatistics]:
        """Decode the utterance; returns its samples and its statistics. Raises Stopped or ModelFailed."""
        inputs: dict[str, Array] = {
            "features": features.features,
            "spectra": features.source.spectra(0, features.frames, stop),
            "gain": features.gain,
            "bias": features.bias,
        }
        audio, mean, variance = self._network.run(inputs, ("audio", "mean", "variance"), stop)
        return np.asarray(audio, np.float32), NormStatistics(mean, variance)
