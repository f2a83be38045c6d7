"""Packs a half of the network as the LiteRT decoder needs it (``store``).

    python -m kani.engines.kokoro.litert.packing.pack prosody|generator < MODEL.onnx > PACKED.zip

Runs in a child process: onnx takes memory that the server would not get back.
"""

from __future__ import annotations

import sys

from kani.engines.kokoro.litert.packing.features import curve_content, feature_content
from kani.engines.kokoro.litert.packing.generator import load_scales
from kani.engines.kokoro.litert.packing.generator_graph import GeneratorGraph, norm_coefficients
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.store import write_archive
from kani.engines.kokoro.network.graph_surgery import Surgery


def pack_prosody(model: bytes) -> bytes:
    """Pack everything before the generator. Raises UnknownGraph."""
    surgery = Surgery(model)
    curves, features = curve_content(surgery.curves()), feature_content(surgery.decoder())
    return write_archive({"encoder.onnx": surgery.encoder(), **curves, **features})


def pack_window_models(model: bytes) -> bytes:
    """Pack the generator. Raises UnknownGraph."""
    layers, scales = read_layers(Surgery(model).generator()), load_scales()
    graph = GeneratorGraph(layers, scales).build()
    return write_archive({"generator.tflite": graph, **norm_coefficients(layers, scales)})


if __name__ == "__main__":
    pack = {"prosody": pack_prosody, "generator": pack_window_models}[sys.argv[1]]
    sys.stdout.buffer.write(pack(sys.stdin.buffer.read()))
