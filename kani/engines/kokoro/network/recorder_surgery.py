"""Cuts out the part that decodes whole utterances and records the statistics of the norms."""

from __future__ import annotations

from onnx import helper

from kani.engines.kokoro.network.graph_surgery import Surgery


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
