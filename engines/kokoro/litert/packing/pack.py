"""Packs the network as the LiteRT decoder needs it: graphs for onnxruntime, and weights.

    python -m engines.kokoro.litert.packing.pack < MODEL.onnx > PACKED.zip

Runs in a child process (``weights``): onnx takes memory that the server would not get back.
"""

from __future__ import annotations

import sys

from engines.kokoro.litert.packing.curves import pack_curves
from engines.kokoro.litert.packing.features import pack_features
from engines.kokoro.litert.packing.generator import load_scales, pack_generator
from engines.kokoro.litert.packing.graph_layers import read_layers
from engines.kokoro.litert.packing.weights import write_archive
from engines.kokoro.network.graph_surgery import Surgery


def pack(model: bytes) -> bytes:
    """Pack the published graph. Raises UnknownGraph."""
    surgery = Surgery(model)
    return write_archive(
        {"encoder": surgery.encoder(), "source": surgery.source()},
        {
            "curves": pack_curves(surgery.curves()),
            "features": pack_features(surgery.decoder()),
            "generator": pack_generator(read_layers(surgery.generator()), load_scales()),
        },
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(pack(sys.stdin.buffer.read()))
