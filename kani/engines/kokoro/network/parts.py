"""The split network: an utterance's prosody first, then its audio window by window, by a decoder.

``tools.kokoro_pack.graph_surgery`` documents the parts and their shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import Array, Network, Stop, encoder_inputs, frame_counts
from kani.engines.kokoro.text.vocabulary import VOCABULARY

LoadPart = Callable[[str], bytes]
"""Loads a part of the graph by its name."""


class DecoderUnavailable(Exception):
    """A decoder cannot run on this machine; the message is the reason."""


class Source(Protocol):
    """Short-time spectra of one utterance's harmonic source, computed window by window."""

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """Spectra of frames [first, end): [1, 22, 120 (end − first) + 1]. Raises Stopped or ModelFailed."""


class Curves(NamedTuple):
    """Pitch and energy of an utterance of F frames."""

    pitch: Array  # hertz, 0 where unvoiced [1, 2F]
    energy: Array  # [1, 2F]


class Features(NamedTuple):
    """Everything the generator needs of an utterance of F frames."""

    features: Array  # [1, 512, 2F]
    gain: Array  # of the generator's norms [1, C, 1]
    bias: Array  # of the generator's norms [1, C, 1]
    source: Source

    @property
    def frames(self) -> int:
        return int(self.features.shape[2]) // 2


class FeatureDecoder(Protocol):
    """Predicts pitch and energy, and computes the generator's input; thread-safe."""

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        """Predict the curves of F frames from the encoder's shared [F, 1, 512]; style [1, 256].

        Raises Stopped or ModelFailed.
        """

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> Features:
        """Decode an utterance of F frames: asr [1, 512, F]; pitch, energy [1, 2F]; style [1, 256].

        Raises Stopped or ModelFailed.
        """


class OnnxFeatureDecoder:
    """Computes the decoder's part before the generator by onnxruntime, for checkpoints."""

    def __init__(self, load_part: LoadPart, threads: int) -> None:
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


class Window(NamedTuple):
    """The generator's input for n frames; the first ``before`` and last ``after`` are context."""

    features: Array  # [1, 512, 2n]
    spectra: Array  # of the harmonic source [1, 22, 120n + 1]
    scale: Array  # of all norms' channels [1, 9216, 1]
    shift: Array  # of all norms' channels [1, 9216, 1]
    before: int = 0  # frames of context
    after: int = 0


class Generator(Protocol):
    """Generates a window's audio; thread-safe."""

    @property
    def context(self) -> int:
        """Frames of context required on either side; fewer only at the utterance's ends."""

    def generate(self, window: Window, stop: Stop) -> Samples:
        """Samples of all frames but the context, 600 each. Raises Stopped or ModelFailed."""

    def close(self) -> None:
        """End the decoder's threads; call it once no synthesis runs."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """A feature decoder and a generator that belong together."""

    feature_decoder: FeatureDecoder
    generator: Generator


MIN_VOICED_HZ = 30.0
"""Pitch below this is unvoiced (the network predicts some hertz there, not 0)."""

_EPSILON = 1e-5

_SPECTRA_A_FRAME = 120
_SPARED = 64


@dataclass(frozen=True, slots=True, eq=False)
class PredictedProsody:
    """The prediction for an utterance of n symbols in F frames."""

    asr: Array  # linguistic features [1, 512, F]
    pitch: Array  # hertz, 0 where unvoiced [1, 2F]
    energy: Array  # [1, 2F]
    frames: npt.NDArray[np.int64]  # length of each symbol, the two pads included [n + 2]; their sum is F
    log_f0: float  # ``log_f0_of`` the pitch before pitch control
    gain: npt.NDArray[np.float64] | None = None  # of the samples [2F]; None is 1


@dataclass(frozen=True, slots=True, eq=False)
class NormStatistics:
    """Mean and variance of the input of each channel of the generator's norms [1, C, 1]."""

    mean: Array
    variance: Array


@dataclass(frozen=True, slots=True, eq=False)
class NormAffine:
    """The generator's norms for given statistics: scale · x + shift, both [1, C, 1]."""

    scale: Array
    shift: Array

    @classmethod
    def from_statistics(cls, features: Features, statistics: NormStatistics) -> NormAffine:
        scale = features.gain / np.sqrt(statistics.variance + np.float32(_EPSILON))
        return cls(scale, features.bias - scale * statistics.mean)


def log_f0_of(pitch: Array) -> float:
    """Log F0 (log hertz) around which a pitch curve moves; that of 100 Hz where nothing is voiced.

    The 60th percentile of the voiced values: the curve dips in consonants without audible pitch. Measured on
    the audio of 20 sentences of four voices, the median F0 is 0.2 semitones above it (1.1 above the curve's
    median).
    """
    voiced = pitch[pitch > MIN_VOICED_HZ]
    return float(np.log(np.percentile(voiced, 60) if len(voiced) else 100.0))


class SplitModel:
    """The loaded parts; thread-safe. All methods raise Stopped or ModelFailed."""

    def __init__(
        self, encoder: bytes, decoder: Decoder, threads: int, vocabulary: Mapping[str, int] = VOCABULARY
    ) -> None:
        """encoder: the part of that name; threads: cores for one of its calls; vocabulary: token ids of the
        symbols. Raises ModelFailed.
        """
        self._encoder = Network(encoder, threads)
        self._vocabulary = vocabulary
        self.decoder = decoder

    def predict_prosody(self, symbols: str, style: Array, speed: float, stop: Stop) -> PredictedProsody:
        """Predict the prosody of ``symbols`` (1–510 of the vocabulary) in ``style`` [1, 256] at ``speed``."""
        asr, shared, durations = self._encoder.run(
            encoder_inputs(symbols, style, speed, self._vocabulary), ("asr", "shared", "durations"), stop
        )
        pitch, energy = self.decoder.feature_decoder.predict_curves(shared, style, stop)
        return PredictedProsody(asr, pitch, energy, frame_counts(durations), log_f0_of(pitch))

    def decode_features(self, prosody: PredictedProsody, style: Array, stop: Stop) -> Features:
        """Compute the generator's input for the whole utterance."""
        predicted = prosody.asr, prosody.pitch, prosody.energy
        return self.decoder.feature_decoder.decode(*predicted, style, stop)

    def decode_window(
        self, features: Features, affine: NormAffine, first: int, end: int, stop: Stop
    ) -> Samples:
        """Decode the samples of frames [first, end); they do not depend on the other windows."""
        context = self.decoder.generator.context
        begin, until = max(first - context, 0), min(end + context, features.frames)
        window = Window(
            features.features[:, :, 2 * begin : 2 * until],
            features.source.spectra(begin, until, stop),
            affine.scale,
            affine.shift,
            before=first - begin,
            after=until - end,
        )
        return self.decoder.generator.generate(window, stop)
