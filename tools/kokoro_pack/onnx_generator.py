"""The network's graphs as they are, on onnxruntime: what its packed form is compared with and found by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Network, Stop
from kani.engines.kokoro.network.parts import Decoder, LoadPart, OnnxFeatureDecoder, SplitModel, Window
from kani.engines.kokoro.text.vocabulary import VOCABULARY

CONTEXT_FRAMES = 4
"""Frames of context on either side of a window (measured: with one less the samples differ)."""


class OnnxGenerator:
    context = CONTEXT_FRAMES

    def __init__(self, onnx: bytes, threads: int) -> None:
        """onnx: ``graph_surgery``'s part; threads: cores that one call may use. Raises ModelFailed."""
        self._network = Network(onnx, threads)

    def generate(self, window: Window, stop: Stop) -> Samples:
        inputs = {
            "features": window.features,
            "spectra": window.spectra,
            "scale": window.scale,
            "shift": window.shift,
        }
        (audio,) = self._network.run(inputs, ("audio",), stop)
        end = window.features.shape[2] // 2 - window.after
        return np.asarray(audio[window.before * FRAME_SAMPLES : end * FRAME_SAMPLES], np.float32)

    def close(self) -> None:
        """See ``Generator.close``; onnxruntime's session ends with its last reference."""


def on_onnxruntime(
    load_part: LoadPart, threads: int, vocabulary: Mapping[str, int] = VOCABULARY
) -> SplitModel:
    """Load all parts on onnxruntime. Raises ModelFailed, and what ``load_part`` raises."""
    decoder = Decoder(OnnxFeatureDecoder(load_part, threads), OnnxGenerator(load_part("generator"), threads))
    return SplitModel(load_part("encoder"), decoder, threads, vocabulary)
