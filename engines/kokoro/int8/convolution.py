"""Int8 convolutions over time, by the oneDNN operators inside torch."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import torch

from engines.kokoro.network.onnx_model import Array

Levels = npt.NDArray[np.uint8]

_thread = threading.local()


def use_one_core() -> None:
    """Make oneDNN use one core in the calling thread.

    ``torch.set_num_threads`` holds for the thread that calls it: in others OpenMP would use every core,
    and spin on them beside the threads that a window is divided between.
    """
    if not hasattr(_thread, "alone"):
        torch.set_num_threads(1)
        _thread.alone = True


MOST_ROWS_1_TAP = 48
"""Most rows of one call of a convolution of one tap. With AVX-512, oneDNN wants the weight in another order
from 64 rows on, and rearranges it in every call, which takes 60 to 200 ms."""


class Convolution:
    """Convolves levels [d, T + taps − 1, inputs] to [d, T, outputs], without padding, dilation or stride.

    The operators are not part of torch's public API; ``compatibility`` checks their results first. A call
    computes in the calling thread and releases the GIL.
    """

    def __init__(self, levels: npt.NDArray[np.int8], scale: Array, bias: Array) -> None:
        """levels: the weight's [outputs, inputs, taps]; scale, bias: float32 [outputs].

        A call computes scale · Σ levels · level + bias; both already contain the input's steps and zeros.
        """
        outputs, inputs, taps = levels.shape
        self.taps: int = taps
        self._scale = torch.from_numpy(scale)
        self._zeros = torch.zeros(outputs, dtype=torch.int32)
        self._bias = torch.from_numpy(bias)
        weight = torch.from_numpy(levels)[:, :, None]
        self._packed = torch.ops.onednn.qconv_prepack(
            weight, self._scale, 1.0, 0, [1, 1], [0, 0], [1, 1], 1, [1, inputs, 1, 4 * taps]
        )

    def __call__(self, levels: Levels) -> Array:
        """See the class. The levels are not kept."""
        length = levels.shape[1]
        if self.taps > 1 or length <= MOST_ROWS_1_TAP:
            return self._convolve(levels)
        firsts = range(0, length, MOST_ROWS_1_TAP)
        pieces = [self._convolve(levels[:, first : first + MOST_ROWS_1_TAP]) for first in firsts]
        return np.concatenate(pieces, axis=1)

    def _convolve(self, levels: Levels) -> Array:
        phases, length, inputs = levels.shape
        given = torch.from_numpy(levels).view(phases, 1, length, inputs).permute(0, 3, 1, 2)
        values = torch.ops.onednn.qconv2d_pointwise(
            given,
            1.0,
            0,
            self._packed,
            self._scale,
            self._zeros,
            self._bias,
            [1, 1],
            [0, 0],
            [1, 1],
            1,
            1.0,
            0,
            torch.float32,
            "none",
            [],
            "",
        )
        made: Array = values.permute(0, 2, 3, 1).squeeze(1).numpy()
        return made
