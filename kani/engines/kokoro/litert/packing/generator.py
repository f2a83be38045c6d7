"""Packs the generator's weights in the form that ``litert.generator`` uses.

Arrays, prefixed with the layer's name in the original network: of an int8 convolution ``levels`` int8
[outputs, inputs, taps], ``scale`` and ``bias`` [outputs], ``per_step`` and ``zero`` [inputs]; of one after a
snake also ``alpha`` [inputs] and ``norm``, the first of its norm's channels; of a small one ``weight`` and
``bias``; and the inverse transform's ``basis``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.layers import Convolution, Layers, Upsampling, residual_blocks
from kani.engines.kokoro.litert.packing.weights import DATA, SCALES_FILE, quantise_weight
from kani.engines.kokoro.network.onnx_model import Array

SCALES_ORIGIN_FILE = "scales.json"


class Scale(NamedTuple):
    """Quantisation of a convolution's input by channel [C]: clip(⌊value / step + zero + ½⌋, 0, 255)."""

    step: Array
    zero: npt.NDArray[np.uint8]


Scales = Mapping[str, Scale]
"""By a convolution's name in the original network."""


def load_scales() -> Scales:
    """Load the calibrated scales that ship (``tools/kokoro_data/calibrate.py``).

    Raises OSError, ValueError or KeyError where the file is missing or broken.
    """
    with (DATA / SCALES_FILE).open("rb") as file, np.load(file) as data:
        names = [name.removesuffix(".step") for name in data.files if name.endswith(".step")]
        return {name: Scale(data[f"{name}.step"], data[f"{name}.zero"]) for name in names}


def pack_generator(layers: Layers, scales: Scales) -> dict[str, npt.NDArray[np.generic]]:
    """Pack all weights of the generator."""
    packed: dict[str, npt.NDArray[np.generic]] = {}

    def integer(name: str, weight: Array, bias: Array) -> None:
        scale_of = scales[name]
        levels, scale = quantise_weight(weight * scale_of.step[:, None])
        lifted = (_sum_of_taps(levels) @ scale_of.zero) * scale
        packed[f"{name}.levels"] = levels
        packed[f"{name}.scale"] = scale
        packed[f"{name}.bias"] = (bias - lifted).astype(np.float32)
        packed[f"{name}.per_step"] = 1 / scale_of.step
        packed[f"{name}.zero"] = scale_of.zero.astype(np.float32)

    def small(convolution: Convolution) -> None:
        packed[f"{convolution.name}.weight"] = convolution.weight
        packed[f"{convolution.name}.bias"] = convolution.bias

    for stage in layers.stages:
        up = stage.upsampling
        integer(up.name, as_two_tap_weight(up), np.tile(up.bias, up.stride))
        small(stage.source)
    for block in residual_blocks(layers):
        for pair in block.pairs:
            for step in pair:
                convolution = step.convolution
                integer(convolution.name, convolution.weight, convolution.bias)
                packed[f"{convolution.name}.alpha"] = step.snake.alpha
                packed[f"{convolution.name}.norm"] = np.array(step.snake.norm)
    small(layers.last)
    packed["basis"] = layers.basis
    return packed


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
