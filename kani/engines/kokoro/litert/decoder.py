"""Assembles the network from its packed weights, and checks its decoder on this machine."""

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.litert.generator import LiteRtGenerator
from kani.engines.kokoro.litert.harmonic_source import BINS, HOPS, HarmonicSource, harmonic_phase
from kani.engines.kokoro.litert.model import Model
from kani.engines.kokoro.litert.packed import BROKEN, CURVES, NETWORK, PackedArchive, PackedNetwork
from kani.engines.kokoro.network.cores import CorePool, SharedTask
from kani.engines.kokoro.network.decoder_checks import check_speech, load_probe
from kani.engines.kokoro.network.onnx_model import Array, ModelFailed, Network, Stop, Stopped
from kani.engines.kokoro.network.parts import Curves, Decoder, DecoderUnavailable, Features, SplitModel

_MOST_THREADS = 2
"""Threads of one call."""

_AHEAD = 32
"""Frames of a source that are computed ahead: those of a long window."""

_MOST, _LEAST_RANGE = 255, 1e-6

logger = logging.getLogger(__name__)


class CurveBranch:
    """Predicts a curve; its second block doubles the number of rows."""

    def __init__(self, archive: PackedArchive, name: str) -> None:
        """name: one of ``CURVES``."""
        self._gain, self._factor = archive.array(f"{name}.gain"), archive.array(f"{name}.factor")
        self._weight = archive.array(f"{name}.weight").ravel()
        self._bias = np.float32(archive.array(f"{name}.bias").item())
        self._model = Model(archive.content(f"{name}.tflite"))

    @property
    def norms(self) -> int:
        """Length of the branch's norms, of all blocks together."""
        return len(self._gain)

    def compute(self, shared: Array, norms: Array, stop: Stop) -> Array:
        """Compute the curve [2F] of rows [F, C]. Raises Stopped."""
        if stop.is_set:
            raise Stopped
        coefficients = ((norms + self._gain) * self._factor)[np.newaxis]
        rows = self._model.run({"shared": shared, "coefficients": coefficients})["rows"]
        # The published graph rounds the last layer's input, too. Zero is among its levels.
        span = max(float(rows.max()), 0.0) - min(float(rows.min()), 0.0)
        step = np.float32(max(span, _LEAST_RANGE) / _MOST)
        return np.asarray(np.rint(rows / step) * step @ self._weight + self._bias, np.float32)


class LiteRtFeatureDecoder:
    """Computes pitch and energy, and features from prosody; thread-safe."""

    def __init__(self, archive: PackedArchive, harmonics: HarmonicSource, pool: CorePool, cores: int) -> None:
        """pool, cores: for all calls together. Raises ModelFailed."""
        threads = min(cores, _MOST_THREADS)
        # An interpreter takes 80 MB. With more of them than cores each call would only be slower.
        self._turns = threading.BoundedSemaphore(cores // threads)
        self._harmonics, self._pool = harmonics, pool
        self._pitch, self._energy = (CurveBranch(archive, name) for name in CURVES)
        self._curve_norms = Network(archive.content("curves.norms.onnx"), 1)
        self._gain, self._factor = archive.array("features.gain"), archive.array("features.factor")
        self._halvings = [
            (archive.array(f"{name}.weight").ravel(), np.float32(archive.array(f"{name}.bias").item()))
            for name in ("F0_conv", "N_conv")
        ]
        self._feature_norms = Network(archive.content("features.norms.onnx"), 1)
        self._model = Model(archive.content("features.tflite"), threads)

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        (norms,) = self._curve_norms.run({"style": style}, ("own",), stop)
        of_pitch, of_energy = np.split(norms.ravel(), [self._pitch.norms])
        given = shared[:, 0]
        with self._pool.acquire() as helper:
            energy = SharedTask(lambda: self._energy.compute(given, of_energy, stop), helper)
            pitch = self._pitch.compute(given, of_pitch, stop)
            return Curves(pitch[np.newaxis], energy.result()[np.newaxis])

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> Features:
        gain, bias, norms = self._feature_norms.run({"style": style}, ("gain", "bias", "own"), stop)
        curves = [
            _halved(curve[0], *halving)
            for curve, halving in zip((pitch, energy), self._halvings, strict=True)
        ]
        inputs = {
            "spoken": asr[0].T,
            "curves": np.column_stack(curves),
            "coefficients": (norms.reshape(1, -1) + self._gain) * self._factor,
        }
        with self._turns:
            if stop.is_set:
                raise Stopped
            features = np.ascontiguousarray(self._model.run(inputs)["features"].T)
        source = LazySource(self._harmonics, pitch, self._pool.ahead)
        return Features(features[np.newaxis], gain, bias, source)


def _halved(curve: Array, weight: Array, bias: np.float32) -> Array:
    """Convolve a curve [2F] with three taps and a stride of two [F]."""
    padded = np.pad(curve, 1)
    first, middle, last = weight
    return np.asarray(first * padded[:-2:2] + middle * padded[1:-1:2] + last * padded[2::2] + bias)


class LazySource:
    """See ``Source``; computes frames once while windows follow each other, and the next ones ahead."""

    def __init__(self, harmonics: HarmonicSource, pitch: Array, helper: ThreadPoolExecutor | None) -> None:
        """pitch: of all F frames [1, 2F]; helper: computes the next frames, where another core may do so."""
        self._harmonics, self._helper = harmonics, helper
        self._pitch, self._phase = pitch, harmonic_phase(pitch)
        self._frames = self._phase.shape[1] // 2
        self._first = self._end = 0  # frames that are kept
        self._kept = np.zeros((1, 2 * BINS, 1), np.float32)
        self._ahead: tuple[int, SharedTask[Array]] | None = None  # the frames up to this one
        self._lock = threading.Lock()

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """See ``Source.spectra``; takes some milliseconds and cannot be cancelled."""
        with self._lock:
            goes_on = self._first <= first <= self._end > 0
            if not goes_on:
                self._first = self._end = first
            elif self._ahead is not None:
                until, task = self._ahead
                self._append(until, task.result())
            self._ahead = None
            if end > self._end:
                self._append(end, self._compute(self._end, end))
            self._kept, self._first = self._kept[:, :, HOPS * (first - self._first) :], first
            if goes_on and self._end < self._frames and self._helper is not None:
                # Only from the second window on: the first one is waited for.
                until = min(self._end + _AHEAD, self._frames)
                self._ahead = until, SharedTask(partial(self._compute, self._end, until), self._helper)
            return self._kept[:, :, : HOPS * (end - first) + 1]

    def _compute(self, first: int, end: int) -> Array:
        return self._harmonics.spectra(self._phase, self._pitch, first, end)

    def _append(self, end: int, spectra: Array) -> None:
        """Keep the spectra of the frames from the kept ones on up to ``end``."""
        kept = self._kept[:, :, : HOPS * (self._end - self._first)]
        self._kept, self._end = np.concatenate((kept, spectra), axis=2), end


def load_litert_decoder(packed: PackedNetwork, cores: int) -> Decoder:
    """Load and check the decoder: 0.3 s.

    cores: for all windows together. Raises DecoderUnavailable, and ``packed.BROKEN``.
    """
    pool = CorePool(cores)
    try:
        feature_decoder = LiteRtFeatureDecoder(packed.prosody, HarmonicSource(), pool, cores)
        generator = LiteRtGenerator(packed.generator, pool)
        # Loads the model that most windows use, too.
        agreement = check_speech(generator, *load_probe())
    except ModelFailed as error:
        raise DecoderUnavailable(f"it failed its check ({error})") from error
    logger.debug("Kokoro's LiteRT decoder: %.0f dB signal-to-error ratio against float32", agreement)
    return Decoder(feature_decoder, generator)


def load_model(threads: int) -> SplitModel:
    """Load Kokoro's own network. threads: of one step. Raises EngineUnavailable and ModelFailed."""
    begun = time.monotonic()
    try:
        packed = PackedNetwork.open(NETWORK)
        decoder = load_litert_decoder(packed, os.cpu_count() or 1)
        model = SplitModel(packed.prosody.content("encoder.onnx"), decoder, threads)
    except DecoderUnavailable as error:
        raise EngineUnavailable(f"Kokoro's decoder does not run here: {error}") from error
    except BROKEN as error:
        raise EngineUnavailable(
            f"Kokoro's network is missing or broken ({error}): "
            "restore kani/engines/kokoro/data/network/ from the repository"
        ) from error
    logger.info("Kokoro decoder: litert (int8), loaded in %.1f s", time.monotonic() - begun)
    return model
