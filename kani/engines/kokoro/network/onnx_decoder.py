"""The decoder's part before the generator, run on onnxruntime, for checkpoints."""

from collections.abc import Callable

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array, Network, Stop
from kani.engines.kokoro.network.parts import Curves, Features

_SPECTRA_A_FRAME = 120
_SPARED = 64


class OnnxFeatureDecoder:
    def __init__(self, load_part: Callable[[str], bytes], threads: int) -> None:
        """load_part: returns a part by its name; threads: cores for one call. Raises ModelFailed, and what
        ``load_part`` raises.
        """
        self._curves = Network(load_part("curves"), threads)
        self._decoder = Network(load_part("decoder"), threads)
        self._source = Network(load_part("source"), threads)

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        inputs = {"shared": shared, "style": style}
        return Curves(*self._curves.run(inputs, ("pitch", "energy"), stop))

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> Features:
        features, phase, gain, bias = self._decoder.run(
            {"asr": asr, "pitch": pitch, "energy": energy, "style": style},
            ("features", "phase", "gain", "bias"),
            stop,
        )
        return Features(features, gain, bias, OnnxSource(self._source, phase, pitch))


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
