"""Packs the curves part's weights in the form that ``litert.curves`` uses.

The arrays are those of ``features``, without smoothing: ``levels`` and ``scale`` are the published
graph's own. A block that doubles the rows also has ``pool.weight`` and ``pool.bias``; a branch's last layer
has ``weight`` and ``bias``. ``norms`` holds the bytes of a graph: style → own, the blocks' norms one after
the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.part import Part
from kani.engines.kokoro.litert.packing.weights import CURVE_BLOCKS, CURVES, dynamic_convolution
from kani.engines.kokoro.network.onnx_model import Array


def pack_curves(curves: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Pack all weights of the curves part. Raises UnknownGraph."""
    part = Part("curves", curves, "/encoder/", "encoder.predictor.")
    blocks = [f"{branch}.{number}" for branch in CURVES for number in range(CURVE_BLOCKS)]
    packed: dict[str, npt.NDArray[np.generic]] = {}

    def integer(name: str, node: str, bias: Array | None) -> None:
        levels, scale = part.levels(node)
        packed.update(dynamic_convolution(name, levels, scale, bias, np.ones(levels.shape[1], np.float32)))

    for block in blocks:
        for kind in ("conv1", "conv2"):
            integer(f"{block}.{kind}", f"{block}/{kind}", part.bias(f"{block}.{kind}"))
        if part.has(f"{block}/conv1x1/Conv_quant"):
            integer(f"{block}.conv1x1", f"{block}/conv1x1", None)
        if part.has(f"{block}/pool/ConvTranspose"):
            packed[f"{block}.pool.weight"] = part.weight(f"{block}/pool/ConvTranspose")
            packed[f"{block}.pool.bias"] = part.bias(f"{block}.pool")
    for last in (f"{branch}_proj" for branch in CURVES):
        packed[f"{last}.weight"] = part.weight(f"{last}/Conv_quant")
        packed[f"{last}.bias"] = part.bias(last)
    packed["norms"] = part.norms(blocks)
    return packed
