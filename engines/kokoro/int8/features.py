"""The part that ``graph_surgery`` calls the decoder, prosody to features, in int8.

Five residual blocks, of which the last doubles the number of rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from engines.kokoro.int8.curves import Int8Curves
from engines.kokoro.int8.harmonic_source import HarmonicSource, harmonic_phase
from engines.kokoro.int8.packing.weights import PackedWeights
from engines.kokoro.int8.residual_blocks import ResidualBlock, ThreadPair
from engines.kokoro.network.cores import CorePool
from engines.kokoro.network.decoder import Curves, DecodedFeatures
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped

_BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")


class Int8Features:
    """Computes features from prosody; thread-safe."""

    def __init__(self, packed: PackedWeights, cores: CorePool) -> None:
        """packed: built by ``packing.features``. Raises ModelFailed."""
        self._blocks = [ResidualBlock(packed, name) for name in _BLOCKS]
        self._pitch, self._energy = (
            (packed[f"{name}.weight"].ravel().astype(np.float32), np.float32(packed[f"{name}.bias"].item()))
            for name in ("F0_conv", "N_conv")
        )
        self._residual = torch.from_numpy(packed["asr_res.0.weight"][:, :, 0].astype(np.float32))
        self._residual_bias = torch.from_numpy(packed["asr_res.0.bias"].astype(np.float32))
        self._norms = Network(packed["norms"].tobytes(), 1)
        self._cores = cores

    @torch.inference_mode()
    def compute(
        self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop
    ) -> tuple[Array, Array, Array]:
        """Compute features, gain and bias; see ``FeatureDecoder.decode``."""
        gain, bias, own = self._norms.run({"style": style}, ("gain", "bias", "own"), stop)
        with self._cores.acquire() as helper:
            rows = self._rows(asr, pitch, energy, own.ravel(), ThreadPair(helper), stop)
        return np.ascontiguousarray(rows.T)[np.newaxis], gain, bias

    def _rows(
        self, asr: Array, pitch: Array, energy: Array, norms: Array, threads: ThreadPair, stop: Stop
    ) -> Array:
        """Compute the features [2F, 512]."""
        spoken = np.ascontiguousarray(asr[0].T)
        frames = len(spoken)
        residual = functional.linear(torch.from_numpy(spoken), self._residual, self._residual_bias).numpy()
        curves = [_halved(pitch[0], *self._pitch), _halved(energy[0], *self._energy)]
        given = np.column_stack((spoken, *curves))
        aside = np.column_stack((residual, *curves))
        seen = threads.compute_with_statistics(given, lambda first, end: None)
        for block in self._blocks:
            if stop.is_set:
                raise Stopped
            own, norms = np.split(norms, [block.norms])
            if block is self._blocks[-1]:
                room = np.empty((2 * frames, block.outputs), np.float32)
            else:
                room = np.empty((frames, block.outputs + aside.shape[1]), np.float32)
                room[:, block.outputs :] = aside
            seen = block.apply(seen, own, room, threads)
        return seen.rows


def _halved(curve: Array, weight: Array, bias: np.float32) -> Array:
    """Convolve a curve [2F] with three taps and a stride of two [F]."""
    padded = np.pad(curve, 1)
    first, middle, last = weight
    return np.asarray(first * padded[:-2:2] + middle * padded[1:-1:2] + last * padded[2::2] + bias)


class Int8FeatureDecoder:
    """See ``FeatureDecoder``."""

    def __init__(self, curves: Int8Curves, features: Int8Features, harmonics: HarmonicSource) -> None:
        self._curves, self._features, self._harmonics = curves, features, harmonics

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        """See ``FeatureDecoder.predict_curves``."""
        return self._curves.compute(shared, style, stop)

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
        """See ``FeatureDecoder.decode``."""
        features, gain, bias = self._features.compute(asr, pitch, energy, style, stop)
        return DecodedFeatures(features, gain, bias, LazySource(self._harmonics, pitch))


class LazySource:
    """See ``Source``; computes only the frames asked for."""

    def __init__(self, harmonics: HarmonicSource, pitch: Array) -> None:
        """pitch: of all F frames [1, 2F]."""
        self._harmonics = harmonics
        self._pitch, self._phase = pitch, harmonic_phase(pitch)

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """See ``Source.spectra``; takes some milliseconds and cannot be cancelled."""
        return self._harmonics.spectra(self._phase, self._pitch, first, end)
