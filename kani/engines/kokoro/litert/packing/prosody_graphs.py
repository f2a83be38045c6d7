"""Builds the LiteRT graphs of the curves (pitch and energy) and of the features, with what they need.

Entries of the archive for a graph NAME: the model ``NAME.tflite``; ``NAME.gain`` and ``NAME.factor``, which
fold its norms with the smoothing (``ResidualBlock``); and small layers, which NumPy computes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.graph import Graph
from kani.engines.kokoro.litert.packing.residual_blocks import ResidualBlock
from kani.engines.kokoro.litert.packing.weights import CURVE_BLOCKS, CURVES, PackedWeights

Content = dict[str, bytes | npt.NDArray[np.generic]]

_BLOCKS = ("encode", "decode.0", "decode.1", "decode.2", "decode.3")
_CONVOLVED_CURVES = ("F0_conv", "N_conv")
_KINDS = ("weight", "bias")


def curve_content(packed: PackedWeights) -> Content:
    """Entries of the curves: a model for each; packed: by ``packing.curves``."""
    content: Content = {"curves.norms.onnx": packed["norms"].tobytes()}
    for name in CURVES:
        blocks = [ResidualBlock(packed, f"{name}.{number}") for number in range(CURVE_BLOCKS)]
        graph = Graph()
        values, coefficients = graph.input("shared", blocks[0].inputs), _coefficients(graph, blocks)
        first = 0
        for block in blocks:
            values = block.add_to(graph, values, coefficients, first)
            first += len(block.gain)
        content[f"{name}.tflite"] = graph.finish(rows=values)
        content.update(_folding(name, blocks))
        content |= {f"{name}.{kind}": packed[f"{name}_proj.{kind}"] for kind in _KINDS}
    return content


def feature_content(packed: PackedWeights) -> Content:
    """Entries of the features; packed: by ``packing.features``. The last of five blocks doubles the rows."""
    blocks = [ResidualBlock(packed, name) for name in _BLOCKS]
    graph = Graph()
    weight = packed["asr_res.0.weight"].astype(np.float32)
    spoken, curves = graph.input("spoken", weight.shape[1]), graph.input("curves", 2)
    coefficients = _coefficients(graph, blocks)
    residual = graph.convolve_exactly(spoken, weight, packed["asr_res.0.bias"].astype(np.float32))
    aside = graph.beside(residual, curves)
    values, first = graph.beside(spoken, curves), 0
    for block in blocks:
        if first:
            values = graph.beside(values, aside)
        values = block.add_to(graph, values, coefficients, first)
        first += len(block.gain)
    small = {f"{name}.{kind}": packed[f"{name}.{kind}"] for name in _CONVOLVED_CURVES for kind in _KINDS}
    return {
        "features.norms.onnx": packed["norms"].tobytes(),
        "features.tflite": graph.finish(features=values),
        **_folding("features", blocks),
        **small,
    }


def _coefficients(graph: Graph, blocks: list[ResidualBlock]) -> int:
    return graph.input("coefficients", sum(len(block.gain) for block in blocks), rows=1)


def _folding(name: str, blocks: list[ResidualBlock]) -> dict[str, npt.NDArray[np.generic]]:
    return {
        f"{name}.gain": np.concatenate([block.gain for block in blocks]),
        f"{name}.factor": np.concatenate([block.factor for block in blocks]),
    }
