"""Packs a half of the network as the LiteRT decoder needs it (``store``).

    python -m kani.engines.kokoro.litert.packing.pack prosody|generator < MODEL.onnx > PACKED.zip

Runs in a child process: onnx takes memory that the server would not get back.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.curves import pack_curves
from kani.engines.kokoro.litert.packing.features import pack_features
from kani.engines.kokoro.litert.packing.generator import load_scales, pack_generator
from kani.engines.kokoro.litert.packing.generator_graph import GeneratorGraph, norm_coefficients
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.prosody_graphs import curve_content, feature_content
from kani.engines.kokoro.litert.packing.store import write_archive
from kani.engines.kokoro.network.graph_surgery import Surgery

Content = dict[str, bytes | npt.NDArray[np.generic]]


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
