"""What comes before the generator: one that does it in place of the published graph's parts."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from engines.kokoro.model import Array, Stop


class Decoded(NamedTuple):
    """features [1, 512, 2F]; phase [1, 2F, 9]; gain, bias [1, C, 1]: as ``graph_surgery`` has them."""

    features: Array
    phase: Array
    gain: Array
    bias: Array


class Front(Protocol):
    """Makes what the generator takes; several threads may use it at once."""

    def decoded(self, asr: Array, pitch: Array, energy: Array, style: Array, stop: Stop) -> Decoded:
        """Of an utterance of F frames: asr [1, 512, F]; pitch, energy [1, 2F]; style [1, 256].

        Raises Stopped or ModelFailed.
        """

    def spectra(self, phase: Array, pitch: Array, first: int, end: int) -> Array:
        """The source's spectra for frames [first, end) of an utterance [1, 22, 120 (end − first) + 1].

        phase [1, 2F, 9] and pitch [1, 2F]: of all its F frames. The same wherever else it is cut.
        """
