"""Quantises the generator's convolutions for ``generator_graph``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.packing.layers import Upsampling
from tools.kokoro_pack.packing.weights import quantise_weight

SCALES = Path(__file__).parents[1] / "data" / "scales.npz"
"""Calibrated scales of the network that ships; ``scales.json`` beside it says how they were found."""


class Scale(NamedTuple):
    """Quantisation of a convolution's input by channel [C]: clip(⌊value / step + zero + ½⌋, 0, 255)."""

    step: Array
    zero: npt.NDArray[np.uint8]


Scales = Mapping[str, Scale]
"""By a convolution's name in the original network."""


def load_scales() -> Scales:
    """Load the calibrated scales of Kokoro's own network (``tools/kokoro_data/calibrate.py``).

    Raises OSError, ValueError or KeyError where the file is missing or broken.
    """
    with SCALES.open("rb") as file, np.load(file) as data:
        names = [name.removesuffix(".step") for name in data.files if name.endswith(".step")]
        return {name: Scale(data[f"{name}.step"], data[f"{name}.zero"]) for name in names}


class StaticConvolution(NamedTuple):
    """A convolution in int8 of an input with fixed levels."""

    levels: npt.NDArray[np.int8]  # of the weight [outputs, inputs, taps]
    unit: Array  # value of one level [outputs]
    bias: Array  # [outputs], less what the input's zeros add


def static_convolution(weight: Array, bias: Array, scale: Scale) -> StaticConvolution:
    """Quantise a weight [outputs, inputs, taps] for levels of its input."""
    levels, unit = quantise_weight(weight * scale.step[:, None])
    lifted = (_sum_of_taps(levels) @ scale.zero) * unit
    return StaticConvolution(levels, unit, (bias - lifted).astype(np.float32))


def _sum_of_taps(levels: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Sum over the last axis: as a product, which takes a fraction of the time of NumPy's sum."""
    outputs, inputs, taps = levels.shape
    summed = levels.reshape(-1, taps).astype(np.float32) @ np.ones(taps, np.float32)
    return summed.reshape(outputs, inputs).astype(np.float64)


def as_two_tap_weight(upsampling: Upsampling) -> Array:
    """Rewrite an upsampling as a convolution [stride · outputs, inputs, 2] with ``stride`` rows a step.

    Output row r of input row t is the sum of tap r of row t and tap r + stride of row t − 1.
    """
    inputs, outputs, _ = upsampling.weight.shape
    taps = upsampling.weight.reshape(inputs, outputs, 2, upsampling.stride)[:, :, ::-1]
    return np.ascontiguousarray(taps.transpose(3, 1, 0, 2)).reshape(-1, inputs, 2)
