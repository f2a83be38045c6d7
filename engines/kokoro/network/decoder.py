"""The network's second half, prosody to sound: what one that makes it has to offer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from engines.kokoro.network.onnx_model import Array, Stop
from speech.types import Samples

DecoderName = Literal["onnx", "fast"]
"""``onnx``: the published graph on onnxruntime; ``fast``: the same layers by kernels of our own."""


class Source(Protocol):
    """The source's short-time spectra of one utterance, which is asked one window after the other."""

    def spectra(self, first: int, end: int, stop: Stop) -> Array:
        """Those of frames [first, end): [1, 22, 120 (end − first) + 1]. Raises Stopped or ModelFailed."""


class DecodedFeatures(NamedTuple):
    """An utterance of F frames before it is sound.

    features: [1, 512, 2F]; gain, bias: of the generator's norms [1, C, 1].
    """

    features: Array
    gain: Array
    bias: Array
    source: Source


class FeatureDecoder(Protocol):
    """Makes all that the generator takes; several threads may use it at once."""

    def decode(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> DecodedFeatures:
        """Of an utterance of F frames: asr [1, 512, F]; pitch, energy [1, 2F]; style [1, 256].

        Raises Stopped or ModelFailed.
        """


class Window(NamedTuple):
    """n frames of an utterance, of which the first ``before`` and the last ``after`` are context.

    features: [1, 512, 2n]; spectra: of the source [1, 22, 120n + 1]; scale, shift: what each norm's channels
    are multiplied by, and what is added [1, 9216, 1].
    """

    features: Array
    spectra: Array
    scale: Array
    shift: Array
    before: int = 0
    after: int = 0


class Generator(Protocol):
    """Makes a window's sound; several threads may use one at once."""

    @property
    def context(self) -> int:
        """Frames on either side that a window has to have, fewer only where the utterance begins or ends."""

    def generate(self, window: Window, stop: Stop) -> Samples:
        """The samples of all frames but the context, 600 each. Raises Stopped or ModelFailed."""

    def close(self) -> None:
        """End the threads of its decoder; nothing is being said any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoder:
    """One way to make the sound: its front and its generator go together.

    places: utterances that may be under way at once on a small machine. They share the cores window by
    window: many more of them than are played in real time would all be late, where those that wait their
    turn are heard whole.
    """

    name: DecoderName
    feature_decoder: FeatureDecoder
    generator: Generator
    max_concurrency: int
