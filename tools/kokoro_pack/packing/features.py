"""Packs the LiteRT models before the generator, their small layers and their norms.

The curves part has a model for pitch and one for energy. The decoder part computes the generator's input: a
norm's output has a mean and a deviation that depend only on the style. So its inputs are smoothed
(SmoothQuant, Xiao et al. 2022) by the range that the shipped voices' styles imply, without calibration.
"""

from __future__ import annotations

import numpy as np

from kani.engines.kokoro.litert.packed import CURVES
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.voices import Voices
from tools.kokoro_pack.archive import Content
from tools.kokoro_pack.packing.graph import Graph
from tools.kokoro_pack.packing.part import Part
from tools.kokoro_pack.packing.residual_blocks import (
    DynamicConvolution,
    Pool,
    ResidualBlock,
    coefficients_input,
    folding_content,
)
from tools.kokoro_pack.packing.weights import quantise_weight

BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")

_CONVOLVED_CURVES = ("F0_conv", "N_conv")
_HALF_A_STYLE = 128
_STYLES = (20, 60, 120)
"""Utterance lengths, in symbols, with the styles that are used."""

_DEVIATIONS = 3.5
_TO_THE_WEIGHTS = 0.3
"""Exponent of the weights' range in the smoothing (0: only by the inputs' range; best of four)."""


def feature_content(decoder: bytes) -> Content:
    """Return the entries of the features. Raises UnknownGraph."""
    part = Part("decoder", decoder, "/decoder/decoder/", "decoder.decoder.")
    blocks = _read_blocks(part)
    graph = Graph()
    weight, bias = part.weight("asr_res/asr_res.0/Conv_quant"), part.bias("asr_res.0")
    spoken, curves = graph.input("spoken", weight.shape[1]), graph.input("curves", 2)
    coefficients = coefficients_input(graph, blocks)
    aside = graph.beside(graph.convolve_exactly(spoken, weight, bias), curves)
    values, place = graph.beside(spoken, curves), 0
    for block in blocks:
        if place:
            values = graph.beside(values, aside)
        values = block.add_to(graph, values, coefficients, place)
        place += block.coefficients
    content: Content = {
        "features.norms.onnx": part.norms(BLOCKS, "gain", "bias"),
        "features.tflite": graph.finish(features=values),
        **folding_content("features", blocks),
    }
    for name in _CONVOLVED_CURVES:
        content |= part.small(name, f"{name}/Conv_quant", name)
    return content


def _read_blocks(part: Part) -> list[ResidualBlock]:
    voices = Voices()
    # Only of the first voices, so that those sound as they did before more were added.
    styles = np.concatenate(
        [voices.style(voice.id, symbols)[:, :_HALF_A_STYLE] for voice in voices.mixed for symbols in _STYLES]
    )

    def smoothed(block: str, number: int) -> DynamicConvolution:
        norm, weight = f"{block}/norm{number}/fc", part.weight(f"{block}/conv{number}/Conv_quant")
        adapted = styles @ part.weight(f"{norm}/Gemm_MatMul_quant") + part.bias(norm.replace("/", "."))
        gain, bias = np.split(adapted, 2, axis=1)
        reached = (np.abs(bias) + _DEVIATIONS * np.abs(1 + gain)).mean(axis=0)
        smooth = _smooth(reached, np.abs(weight).max(axis=0).max(axis=1))
        quantised = quantise_weight(weight * smooth[:, None])
        return DynamicConvolution(*quantised, part.bias(f"{block}.conv{number}"), smooth)

    def shortcut(block: str) -> DynamicConvolution:
        return DynamicConvolution(*quantise_weight(part.weight(f"{block}/conv1x1/Conv_quant")))

    return [
        ResidualBlock(smoothed(one, 1), smoothed(one, 2), shortcut(one), Pool.read(part, one))
        for one in BLOCKS
    ]


def _smooth(reached: Array, weight: Array) -> Array:
    """Divisor of each input before quantisation; their geometric mean is 1."""
    smooth = reached ** (1 - _TO_THE_WEIGHTS) / np.maximum(weight, 1e-6) ** _TO_THE_WEIGHTS
    return np.asarray(smooth / np.exp(np.log(smooth).mean()), np.float32)


_BLOCKS = 3  # of each curve


def curve_content(curves: bytes) -> Content:
    """Return the entries of the curves. Raises UnknownGraph."""
    part = Part("curves", curves, "/encoder/", "encoder.predictor.")
    blocks = read_curve_blocks(part)
    content: Content = {"curves.norms.onnx": part.norms(blocks)}
    for curve in CURVES:
        own = [block for name, block in blocks.items() if name.startswith(f"{curve}.")]
        graph = Graph()
        values, coefficients = graph.input("shared", own[0].inputs), coefficients_input(graph, own)
        place = 0
        for block in own:
            values = block.add_to(graph, values, coefficients, place)
            place += block.coefficients
        content[f"{curve}.tflite"] = graph.finish(rows=values)
        content |= folding_content(curve, own)
        content |= part.small(curve, f"{curve}_proj/Conv_quant", f"{curve}_proj")
    return content


def read_curve_blocks(part: Part) -> dict[str, ResidualBlock]:
    """Read the blocks of both curves by their names, with the published graph's own levels."""

    def integer(name: str) -> DynamicConvolution:
        bias = None if name.endswith("conv1x1") else part.bias(name.replace("/", "."))
        return DynamicConvolution(*part.levels(name), bias)

    def block(name: str) -> ResidualBlock:
        shortcut = integer(f"{name}/conv1x1") if part.has(f"{name}/conv1x1/Conv_quant") else None
        first, second = integer(f"{name}/conv1"), integer(f"{name}/conv2")
        return ResidualBlock(first, second, shortcut, Pool.read(part, name))

    names = (f"{curve}.{number}" for curve in CURVES for number in range(_BLOCKS))
    return {name: block(name) for name in names}
