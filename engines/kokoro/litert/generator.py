"""The generator in static int8 on LiteRT: a window's features and spectra to its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np

from engines.kokoro.litert.model import Model
from engines.kokoro.litert.packing.store import CONTEXT_FRAMES, PackedArchive
from engines.kokoro.network.cores import CorePool, SharedTask
from engines.kokoro.network.decoder import Window
from engines.kokoro.network.onnx_model import Array, Stop, Stopped
from speech.types import Samples

_HOPS = 120
"""Short-time spectra of a frame."""

_MOST_FRAMES = 32
"""Frames computed in one call. A cancellation takes effect between two calls; each computes its own context,
which costs as much as two frames."""

_SHARED_FRAMES = 10
"""Frames from which on a window is worth dividing between two cores: each part computes its own context."""


class LiteRtGenerator:
    """See ``Generator``; a call computes in the calling thread, and in a helper where a core is idle."""

    context = CONTEXT_FRAMES

    def __init__(self, archive: PackedArchive, cores: CorePool) -> None:
        self._cores = cores
        self._coefficients = _Coefficients(archive)
        self._model = Model(archive.content("generator.tflite"))

    def generate(self, window: Window, stop: Stop) -> Samples:
        """See ``Generator.generate``."""
        window = _with_context(window)
        first, end = window.before, window.features.shape[2] // 2 - window.after
        coefficients = self._coefficients.of(window.scale.ravel(), window.shift.ravel())
        with self._cores.acquire() as helper:
            pieces = -(-(end - first) // _MOST_FRAMES)
            if helper is not None and pieces == 1 and end - first >= _SHARED_FRAMES:
                pieces = 2
            edges = [first + (end - first) * piece // pieces for piece in range(pieces + 1)]
            tasks: list[Callable[[], Samples]] = [
                partial(self._piece, window, coefficients, *edge, stop) for edge in pairwise(edges)
            ]
            return np.concatenate(list(_computed(tasks, helper)))

    def close(self) -> None:
        """See ``Generator.close``."""
        self._cores.close()

    def _piece(self, window: Window, coefficients: Array, first: int, end: int, stop: Stop) -> Samples:
        """Samples of frames [first, end) of the window, which has all context. Raises Stopped."""
        if stop.is_set:
            raise Stopped
        begin, until = first - self.context, end + self.context
        made = self._model.run(
            {
                "features": window.features[0, :, 2 * begin : 2 * until].T,
                "spectra": window.spectra[0, :, _HOPS * begin : _HOPS * until + 1].T,
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
        for values, columns in ((window.features, 2), (window.spectra, _HOPS))
    )
    return Window(features, spectra, window.scale, window.shift, CONTEXT_FRAMES, CONTEXT_FRAMES)


def _computed(tasks: list[Callable[[], Samples]], helper: ThreadPoolExecutor | None) -> Iterator[Samples]:
    """Results of the tasks in order; the helper takes every second one."""
    shared = [SharedTask(task, helper if place % 2 else None) for place, task in enumerate(tasks)]
    for task in shared:
        yield task.result()


class _Coefficients:
    """Factors and summands of all snakes, folded with the norms and the quantisation."""

    def __init__(self, archive: PackedArchive) -> None:
        """archive: with the arrays of ``generator_graph.norm_coefficients``."""
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
