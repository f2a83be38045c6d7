"""The quantisation of weights, for the packing of all parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.network.onnx_model import Array

MAX_LEVEL = 127


def quantise_weight(weight: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise ``weight`` [outputs, inputs, taps]: levels, and the value of one level [outputs]."""
    most = np.abs(weight).reshape(len(weight), -1).max(axis=1) / MAX_LEVEL
    scale = np.maximum(most, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None, None]).astype(np.int8), scale
