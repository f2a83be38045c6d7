"""Packs the curves part: a LiteRT model for pitch and one for energy, their last layers, and their norms."""

from __future__ import annotations

from kani.engines.kokoro.litert.packing.graph import Graph
from kani.engines.kokoro.litert.packing.part import Part
from kani.engines.kokoro.litert.packing.residual_blocks import (
    DynamicConvolution,
    Pool,
    ResidualBlock,
    coefficients_input,
    folding_content,
)
from kani.engines.kokoro.litert.packing.weights import CURVES, Content

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
