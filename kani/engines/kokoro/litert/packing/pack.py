"""Packs a half of the network as the LiteRT decoder needs it (``store``).

    python -m kani.engines.kokoro.litert.packing.pack prosody|generator < MODEL.onnx > PACKED.zip

Runs in a child process: onnx takes memory that the server would not get back.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.curves import pack_curves
from kani.engines.kokoro.litert.packing.features import BLOCKS, pack_features
from kani.engines.kokoro.litert.packing.generator import load_scales, pack_generator
from kani.engines.kokoro.litert.packing.generator_graph import GeneratorGraph, norm_coefficients
from kani.engines.kokoro.litert.packing.graph import Graph
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.residual_blocks import ResidualBlock
from kani.engines.kokoro.litert.packing.store import write_archive
from kani.engines.kokoro.litert.packing.weights import CURVE_BLOCKS, CURVES, PackedWeights
from kani.engines.kokoro.network.graph_surgery import Surgery

Content = dict[str, bytes | npt.NDArray[np.generic]]

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
    blocks = [ResidualBlock(packed, name) for name in BLOCKS]
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


def pack_prosody(model: bytes) -> bytes:
    """Pack everything before the generator. Raises UnknownGraph."""
    surgery = Surgery(model)
    content: Content = {"encoder.onnx": surgery.encoder()}
    content.update(curve_content(pack_curves(surgery.curves())))
    content.update(feature_content(pack_features(surgery.decoder())))
    return write_archive(content)


def pack_window_models(model: bytes) -> bytes:
    """Pack the generator. Raises UnknownGraph."""
    packed = pack_generator(read_layers(Surgery(model).generator()), load_scales())
    return write_archive({"generator.tflite": GeneratorGraph(packed).build(), **norm_coefficients(packed)})


if __name__ == "__main__":
    pack = {"prosody": pack_prosody, "generator": pack_window_models}[sys.argv[1]]
    sys.stdout.buffer.write(pack(sys.stdin.buffer.read()))
