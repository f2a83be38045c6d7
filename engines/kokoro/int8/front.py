"""What comes before the generator: the features in int8, and the source."""

from __future__ import annotations

from engines.kokoro.int8.features import Int8Features
from engines.kokoro.int8.harmonic_source import HarmonicSource, harmonic_phase
from engines.kokoro.network.decoder import DecodedFeatures
from engines.kokoro.network.onnx_model import Array, Stop


class Int8FeatureDecoder:
    """See ``FeatureDecoder``."""

    def __init__(self, features: Int8Features, harmonics: HarmonicSource) -> None:
        self._features, self._harmonics = features, harmonics

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
        """See ``Front.decoded``."""
        features, gain, bias = self._features.compute(asr, pitch, energy, style, stop)
        return DecodedFeatures(features, gain, bias, LazySource(self._harmonics, pitch))


class LazySource:
    """See ``Source``. Nothing is made but what is asked for."""

    def __init__(self, harmonics: HarmonicSource, pitch: Array) -> None:
        """pitch: of all F frames [1, 2F]."""
        self._harmonics = harmonics
        self._pitch, self._phase = pitch, harmonic_phase(pitch)

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """See ``Source.spectra``; some milliseconds, in which it is not stopped."""
        return self._harmonics.spectra(self._phase, self._pitch, first, end)
