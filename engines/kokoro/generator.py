"""The network's last part, features to sound: what one offers, and the published graph's, on onnxruntime."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from engines.kokoro.front import Front
from engines.kokoro.model import FRAME, Array, Network, Stop
from speech.types import Samples

CONTEXT = 4
"""Frames on either side of a window that its sound depends on (measured: with one less it differs)."""

Decoder = Literal["onnx", "fast"]
"""Who makes the sound: the published graph on onnxruntime, or the same in static int8 (``fast``)."""


class Generator(Protocol):
    """Makes a window's sound; several threads may use one at once."""

    @property
    def decoder(self) -> Decoder:
        """Which one it is."""

    @property
    def context(self) -> int:
        """Frames on either side of a window that it has to be given, where there are so many."""

    @property
    def front(self) -> Front | None:
        """Who makes its features and spectra; None where the published graph's own parts do."""

    def audio(
        self,
        features: Array,
        spectra: Array,
        scale: Array,
        shift: Array,
        *,
        before: int,
        after: int,
        stop: Stop,
    ) -> Samples:
        """The samples of n frames but the first ``before`` and the last ``after``, which are context.

        features: [1, 512, 2n]; spectra: of the source [1, 22, 120n + 1]; scale, shift: what each
        norm's channels are multiplied by, and what is added [1, 9216, 1]. There are ``context``
        frames of it on either side, fewer only where the utterance begins or ends. Raises Stopped or
        ModelFailed.
        """

    def close(self) -> None:
        """End its threads; nothing is being said any more."""


class OnnxGenerator:
    """The published graph's own generator, on onnxruntime."""

    decoder: Decoder = "onnx"
    context = CONTEXT
    front: Front | None = None

    def __init__(self, onnx: bytes, threads: int) -> None:
        """onnx: ``graph_surgery``'s part; threads: cores that one call may use. Raises ModelFailed."""
        self._network = Network(onnx, threads)

    def audio(
        self,
        features: Array,
        spectra: Array,
        scale: Array,
        shift: Array,
        *,
        before: int,
        after: int,
        stop: Stop,
    ) -> Samples:
        """See ``Generator.audio``."""
        inputs = {"features": features, "spectra": spectra, "scale": scale, "shift": shift}
        (audio,) = self._network.run(inputs, ("audio",), stop)
        end = features.shape[2] // 2 - after
        return np.asarray(audio[before * FRAME : end * FRAME], np.float32)

    def close(self) -> None:
        """See ``Generator.close``; the session ends with its last user."""
