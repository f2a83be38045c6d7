"""The decoder of the published graph, on onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kani.core.types import Samples
from kani.engines.kokoro.network.decoder import Curves, DecodedFeatures, Decoder, Window
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Network, Stop

CONTEXT_FRAMES = 4
"""Frames of context on either side of a window (measured: with one less the samples differ)."""

_SPECTRA_A_FRAME = 120
_SPARED = 64


def load_onnx_decoder(load_part: Callable[[str], bytes], threads: int) -> Decoder:
    """Load the decoder. threads: cores for one call.

    Raises ModelFailed, and what ``load_part`` raises.
    """
    return Decoder(
        "onnx", OnnxFeatureDecoder(load_part, threads), OnnxGenerator(load_part("generator"), threads)
    )


class OnnxFeatureDecoder:
    def __init__(self, load_part: Callable[[str], bytes], threads: int) -> None:
        """load_part, threads: as of ``onnx_decoder``."""
        self._curves = Network(load_part("curves"), threads)
        self._decoder = Network(load_part("decoder"), threads)
        self._source = Network(load_part("source"), threads)

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        inputs = {"shared": shared, "style": style}
        return Curves(*self._curves.run(inputs, ("pitch", "energy"), stop))

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
        features, phase, gain, bias = self._decoder.run(
            {"asr": asr, "pitch": pitch, "energy": energy, "style": style},
            ("features", "phase", "gain", "bias"),
            stop,
        )
        return DecodedFeatures(features, gain, bias, OnnxSource(self._source, phase, pitch))


class OnnxSource:
    """See ``Source``; caches the spectra computed so far."""

    def __init__(self, network: Network, phase: Array, pitch: Array) -> None:
        """phase [1, 2F, 9], pitch [1, 2F]: of all F frames."""
        self._network = network
        self._phase, self._pitch = phase, pitch
        self._made = np.zeros((1, 22, 0), np.float32)

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        if self._made.shape[2] <= end * _SPECTRA_A_FRAME:
            # Computed from the first frame on: only what the first windows need plus one frame, later more at
            # a time, so that little is computed again.
            of_all = self._pitch.shape[1] // 2
            frames = min(max(end + 1, 2 * end - _SPARED), of_all)
            inputs = {"phase": self._phase[:, : 2 * frames], "pitch": self._pitch[:, : 2 * frames]}
            (spectra,) = self._network.run(inputs, ("spectra",), stop)
            # The last frame is affected by the end of the input, unless it is the utterance's last.
            kept = frames if frames == of_all else frames - 1
            self._made = spectra[:, :, : kept * _SPECTRA_A_FRAME + 1]
        return self._made[:, :, first * _SPECTRA_A_FRAME : end * _SPECTRA_A_FRAME + 1]


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
