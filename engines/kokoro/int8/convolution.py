"""Convolutions over time in int8, by the oneDNN operators that torch has inside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from engines.kokoro.network.onnx_model import Array

Levels = npt.NDArray[np.uint8]


class Convolution:
    """Levels [d, T + taps − 1, inputs] → values [d, T, outputs]: no padding, no dilation, no stride.

    The operators are not part of torch's public interface: ``fitness`` looks whether they do what is
    expected before anyone is given what they make. A call computes in the calling thread, without the GIL.
    """

    def __init__(self, levels: npt.NDArray[np.int8], scale: Array, bias: Array) -> None:
        """levels: the weight's [outputs, inputs, taps]; scale, bias: float32 [outputs].

        What a call gives is scale · Σ levels · level + bias: the steps and zeros of its input are in them.
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
        """See the class. The levels are read, and not kept."""
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
