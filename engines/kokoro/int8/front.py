"""What comes before the generator: the features in int8, and the source."""

from __future__ import annotations

from engines.kokoro.int8.features import FastFeatures
from engines.kokoro.int8.harmonic_source import HarmonicSource, phase_of
from engines.kokoro.network.decoder import Decoded
from engines.kokoro.network.onnx_model import Array, Stop


class FastFront:
    """See ``Front``."""

    def __init__(self, features: FastFeatures, harmonics: HarmonicSource) -> None:
        self._features, self._harmonics = features, harmonics

    def decoded(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> Decoded:
        """See ``Front.decoded``."""
        features, gain, bias = self._features.of(asr, pitch, energy, style, stop)
        return Decoded(features, gain, bias, FastSource(self._harmonics, pitch))


class FastSource:
    """See ``Source``. Nothing is made but what is asked for."""

    def __init__(self, harmonics: HarmonicSource, pitch: Array) -> None:
        """pitch: of all F frames [1, 2F]."""
        self._harmonics = harmonics
        self._pitch, self._phase = pitch, phase_of(pitch)

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """See ``Source.spectra``; some milliseconds, in which it is not stopped."""
        return self._harmonics.spectra(self._phase, self._pitch, first, end)
