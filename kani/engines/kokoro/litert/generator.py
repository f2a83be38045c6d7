"""The generator in static int8 on LiteRT: a window's features and spectra to its samples."""

from itertools import pairwise

import numpy as np

from kani.core.types import Samples
from kani.engines.kokoro.litert.harmonic_source import HOPS
from kani.engines.kokoro.litert.model import Model
from kani.engines.kokoro.litert.packed import CONTEXT_FRAMES, PackedArchive
from kani.engines.kokoro.network.cores import CorePool
from kani.engines.kokoro.network.onnx_model import Array, Stop, Stopped
from kani.engines.kokoro.network.parts import Window

_MOST_FRAMES = 32
"""Frames computed in one call. A cancellation takes effect between two calls; each computes its own context,
which costs as much as two frames."""


class LiteRtGenerator:
    """See ``Generator``; a call computes in two threads where a core is idle."""

    context = CONTEXT_FRAMES

    def __init__(self, archive: PackedArchive, cores: CorePool) -> None:
        self.cores = cores  # those that its calls are computed on
        self._coefficients = _Coefficients(archive)
        content = archive.content("generator.tflite")
        # Two threads of one call take 2 to 12 % less processor time than two calls of half the frames.
        self._alone, self._shared = Model(content), Model(content, 2)

    def generate(self, window: Window, stop: Stop) -> Samples:
        window = _with_context(window)
        first, end = window.before, window.features.shape[2] // 2 - window.after
        coefficients = self._coefficients.of(window.scale.ravel(), window.shift.ravel())
        with self.cores.acquire() as helper:
            model = self._alone if helper is None else self._shared
            pieces = -(-(end - first) // _MOST_FRAMES)
            edges = [first + (end - first) * piece // pieces for piece in range(pieces + 1)]
            return np.concatenate(
                [self._piece(model, window, coefficients, *edge, stop) for edge in pairwise(edges)]
            )

    def close(self) -> None:
        self.cores.close()

    def _piece(
        self, model: Model, window: Window, coefficients: Array, first: int, end: int, stop: Stop
    ) -> Samples:
        """Samples of frames [first, end) of the window, which has all context. Raises Stopped."""
        if stop.is_set:
            raise Stopped
        begin, until = first - self.context, end + self.context
        made = model.run(
            {
                "features": window.features[0, :, 2 * begin : 2 * until].T,
                "spectra": window.spectra[0, :, HOPS * begin : HOPS * until + 1].T,
                "coefficients": coefficients,
            }
        )
        return made["audio"].ravel()


def _with_context(window: Window) -> Window:
    """Repeat the first and last column of a window at an end of its utterance as its context there.

    The network pads each layer with zeros there. An utterance's ends are silent, so the speech is the same
    (at most 0.1 dB farther from float32), and one graph serves all windows.
    """
    before, after = (CONTEXT_FRAMES - frames for frames in (window.before, window.after))
    if before == after == 0:
        return window
    features, spectra = (
        np.pad(values, ((0, 0), (0, 0), (columns * before, columns * after)), mode="edge")
        for values, columns in ((window.features, 2), (window.spectra, HOPS))
    )
    return Window(features, spectra, window.scale, window.shift, CONTEXT_FRAMES, CONTEXT_FRAMES)


class _Coefficients:
    """Factors and summands of all snakes, folded with the norms and the quantisation."""

    def __init__(self, archive: PackedArchive) -> None:
        """archive: with the arrays of ``norm_coefficients``."""
        self._double_alpha = archive.array("double_alpha")
        self._per_step, self._offset = archive.array("per_step"), archive.array("offset")

    def of(self, scale: Array, shift: Array) -> Array:
        """Row [1, 4 C] of an utterance's norms [C]: of the cosine's angle, then of the linear part."""
        return np.concatenate(
            (
                self._double_alpha * scale,
                self._double_alpha * shift,
                self._per_step * scale,
                self._per_step * shift + self._offset,
            ),
            dtype=np.float32,
        )[np.newaxis]
