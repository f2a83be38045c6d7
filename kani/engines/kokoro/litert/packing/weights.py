"""Names, files and the quantisation of weights, for the packing of all parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.network.onnx_model import Array

PackedWeights = Mapping[str, npt.NDArray[np.generic]]

DATA = Path(__file__).parents[2] / "data"
"""Folder of the files that ship with Kokoro."""

SCALES_FILE = "scales.npz"

CURVES, CURVE_BLOCKS = ("F0", "N"), 3
"""Branches of the curves part (pitch, energy) by their names in the original network, and blocks of each."""

MAX_LEVEL = 127


def quantise_weight(weight: Array) -> tuple[npt.NDArray[np.int8], Array]:
    """Quantise ``weight`` [outputs, inputs, taps]: levels, and the value of one level [outputs]."""
    most = np.abs(weight).reshape(len(weight), -1).max(axis=1) / MAX_LEVEL
    scale = np.maximum(most, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None, None]).astype(np.int8), scale


def dynamic_convolution(
    name: str, levels: npt.NDArray[np.int8], scale: Array, bias: Array | None, smooth: Array
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of a convolution with a dynamic step, as ``features`` documents them."""
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "levels": levels,
        "scale": scale,
        "bias": np.zeros_like(scale) if bias is None else bias,
        "smooth": smooth,
    }
    return {f"{name}.{kind}": array for kind, array in arrays.items()}
