"""Assembles the decoder from its packed weights, and checks it on this machine."""

from __future__ import annotations

import logging

from kani.engines.kokoro.litert.curves import LiteRtCurves
from kani.engines.kokoro.litert.features import LiteRtFeatures
from kani.engines.kokoro.litert.generator import LiteRtGenerator
from kani.engines.kokoro.litert.harmonic_source import HarmonicSource, harmonic_phase
from kani.engines.kokoro.litert.packing.store import PackedNetwork
from kani.engines.kokoro.network.cores import CorePool
from kani.engines.kokoro.network.decoder import Curves, DecodedFeatures, Decoder, DecoderUnavailable
from kani.engines.kokoro.network.decoder_checks import check_source, check_speech
from kani.engines.kokoro.network.onnx_model import Array, ModelFailed, Stop
from kani.engines.kokoro.network.probe import load_probe

logger = logging.getLogger(__name__)


class LiteRtFeatureDecoder:
    def __init__(self, curves: LiteRtCurves, features: LiteRtFeatures, harmonics: HarmonicSource) -> None:
        self._curves, self._features, self._harmonics = curves, features, harmonics

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        return self._curves.compute(shared, style, stop)

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
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


def load_litert_decoder(packed: PackedNetwork, cores: int) -> Decoder:
    """Load and check the decoder: 0.3 s.

    cores: for all windows together. Raises DecoderUnavailable.
    """
    pool, harmonics = CorePool(cores), HarmonicSource()
    try:
        check_source(harmonics)
        curves = LiteRtCurves(packed.prosody, pool)
        features = LiteRtFeatures(packed.prosody, cores)
        generator = LiteRtGenerator(packed.generator, pool)
        # Loads the model that most windows use, too.
        agreement = check_speech(generator, *load_probe())
    except ModelFailed as error:
        raise DecoderUnavailable(f"it failed its check ({error})") from error
    logger.debug("Kokoro's LiteRT decoder: %.0f dB signal-to-error ratio against float32", agreement)
    feature_decoder = LiteRtFeatureDecoder(curves, features, harmonics)
    return Decoder("litert", feature_decoder, generator)
