"""Decodes whole utterances by the graph's own norms, and records the statistics that these found."""

from __future__ import annotations

import numpy as np
from onnx import helper

from kani.core.types import Samples
from kani.engines.kokoro.network.graph_surgery import Surgery
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop
from kani.engines.kokoro.network.parts import Features, NormStatistics


class RecorderSurgery(Surgery):
    """Extracts one more part than ``graph_surgery`` documents.

    recorder   features, spectra, gain, bias    → audio, mean, variance, all at once

    mean and variance of the norms' inputs: [1, C, 1].
    """

    def recorder(self) -> bytes:
        """Audio of a whole utterance, and the norms' statistics in it."""
        unpacked = {"gain": [norm.gain for norm in self._norms], "bias": [norm.bias for norm in self._norms]}
        made = {name for names in unpacked.values() for name in names}
        nodes = [node for node in self._nodes if not made & set(node.output)]
        nodes += [self._unpack(name, outputs) for name, outputs in unpacked.items()]
        for name in ("mean", "variance"):
            packed = [getattr(norm, name) for norm in self._norms]
            nodes.append(helper.make_node("Concat", packed, [name], axis=1))
        return self._from_features("recorder", nodes, takes=("gain", "bias"), gives=("mean", "variance"))


class StatisticsRecorder:
    """``RecorderSurgery.recorder``, loaded."""

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
