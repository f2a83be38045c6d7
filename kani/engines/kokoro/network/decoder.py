"""Interface of the network's second half: pitch and energy, and prosody to audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import Array, Stop


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


class DecodedFeatures(NamedTuple):
    """Everything the generator needs of an utterance of F frames."""

    features: Array  # [1, 512, 2F]
    gain: Array  # of the generator's norms [1, C, 1]
    bias: Array  # of the generator's norms [1, C, 1]
    source: Source


class FeatureDecoder(Protocol):
    """Predicts pitch and energy, and computes the generator's input; thread-safe."""

    def predict_curves(self, shared: Array, style: Array, stop: Stop) -> Curves:
        """Predict the curves of F frames from the encoder's shared [F, 1, 512]; style [1, 256].

        Raises Stopped or ModelFailed.
        """

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
        """Decode an utterance of F frames: asr [1, 512, F]; pitch, energy [1, 2F]; style [1, 256].

        Raises Stopped or ModelFailed.
        """


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
