"""The generator's weights as the convolutions take them: packed once, and kept in the cache folder.

    python -m engines.kokoro.int8.packing < GENERATOR.onnx > PACKED.npz

What is packed, by a layer's name in the original network: of an int8 convolution ``levels`` int8 [outputs,
inputs, taps], ``scale`` and ``bias`` [outputs], ``per_step`` and ``zero`` [inputs]; of one behind a snake
``alpha`` [inputs] too, and ``norm``, where its norm's channels begin; of a small one ``weight`` and ``bias``;
and the inverse transform's ``basis``.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from engines.kokoro.int8 import scales
from engines.kokoro.int8.graph_layers import read_layers
from engines.kokoro.int8.layers import Convolution, Layers, Upsampling, residual_blocks
from engines.kokoro.int8.scales import Scale, Scales
from engines.kokoro.network.onnx_model import Array

MAX_LEVEL = 127
# On processors without VNNI the product of an unsigned and a signed byte is added to its neighbour's in
# 16 bits, which hold 255 · 128. The rounding of two levels may add one to their sum.
MAX_PAIR_SUM = 127


def quantise_weight(weight: Array, pairs: bool) -> tuple[npt.NDArray[np.int8], Array]:
    """The levels of ``weight`` [outputs, inputs, taps], and what one stands for [outputs].

    pairs: whether the levels of two neighbouring inputs have to fit into one byte together.
    """
    magnitude = np.abs(weight)
    if pairs:
        most = (magnitude[:, 0::2] + magnitude[:, 1::2]).max(axis=(1, 2)) / MAX_PAIR_SUM
    else:
        most = magnitude.max(axis=(1, 2)) / MAX_LEVEL
    scale = np.maximum(most, np.finfo(np.float32).tiny).astype(np.float32)
    return np.rint(weight / scale[:, None, None]).astype(np.int8), scale


def pack_generator(layers: Layers, known: Scales, pairs: bool) -> dict[str, npt.NDArray[np.generic]]:
    """All of the generator; pairs: as ``rounded`` takes it."""
    packed: dict[str, npt.NDArray[np.generic]] = {}

    def integer(name: str, weight: Array, bias: Array) -> None:
        scale_of: Scale = known[name]
        levels, scale = quantise_weight(weight * scale_of.step[:, None], pairs)
        lifted = (levels.astype(np.float64).sum(axis=2) @ scale_of.zero) * scale
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


def as_two_tap_weight(upsampling: Upsampling) -> Array:
    """The upsampling as a convolution [stride · outputs, inputs, 2] that makes ``stride`` rows at once.

    Row r of those that row t of the input begins is made of it by tap r, and of the row before it by tap
    r + stride.
    """
    inputs, outputs, _ = upsampling.weight.shape
    taps = upsampling.weight.reshape(inputs, outputs, 2, upsampling.stride)[:, :, ::-1]
    return np.ascontiguousarray(taps.transpose(3, 1, 0, 2)).reshape(-1, inputs, 2)


def run_packing(pack_part: Callable[[bytes, bool], dict[str, npt.NDArray[np.generic]]], what: str) -> None:
    """The command line of a packing: a part of the graph on standard input, an archive on standard output.

    pack_part: given the part, and ``pairs`` as ``rounded`` takes it.
    """
    parser = argparse.ArgumentParser(description=f"Pack the weights of the {what}.")
    parser.add_argument("--pairs", action="store_true", help="for processors without VNNI")
    packed = pack_part(sys.stdin.buffer.read(), parser.parse_args().pairs)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **packed)
    sys.stdout.buffer.write(file.getvalue())


if __name__ == "__main__":
    # A process of its own: onnx and its objects are not for a server's memory.
    run_packing(
        lambda generator, pairs: pack_generator(read_layers(generator), scales.load_scales(), pairs),
        "generator",
    )
