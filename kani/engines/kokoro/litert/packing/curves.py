"""Packs the curves part's weights in the form that ``litert.curves`` uses.

The arrays are those of ``features``, without smoothing: ``levels`` and ``scale`` are the published
graph's own. A block that doubles the rows also has ``pool.weight`` and ``pool.bias``; a branch's last layer
has ``weight`` and ``bias``. ``norms`` holds the bytes of a graph: style → own, the blocks' norms one after
the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.utils import Extractor

from kani.engines.kokoro.litert.packing.weights import CURVE_BLOCKS, CURVES, dynamic_convolution
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.onnx_model import Array

_PREFIX = "/encoder/"
_BIASES = "encoder.predictor."

Levels = npt.NDArray[np.int8]


class _Part:
    """Gives access to the curves part's weights."""

    def __init__(self, curves: bytes) -> None:
        graph = onnx.load_model_from_string(curves).graph
        self._nodes = {node.name: node for node in graph.node}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def has(self, name: str) -> bool:
        """True if the part has this layer."""
        return f"{_PREFIX}{name}" in self._nodes

    def levels(self, name: str) -> tuple[Levels, Array]:
        """Levels of a convolution's weight [outputs, inputs, taps], and the value of one [outputs]."""
        inputs = self._inputs(f"{name}/Conv_quant")
        weight, zero = self._value(inputs[1]), self._value(inputs[3])
        step = self._value(inputs[1].removesuffix("_quantized") + "_scale")
        levels = weight.astype(np.int16) - zero.astype(np.int16)
        if np.abs(levels).max() > np.iinfo(np.int8).max:
            raise UnknownGraph(f"the weights of {name} do not fit into signed bytes")
        return levels.astype(np.int8), np.full(len(levels), step, np.float32)

    def weight(self, name: str) -> Array:
        """Weight of a layer in float32, by the name of its node."""
        return np.array(self._value(self._inputs(name)[1]), np.float32)

    def bias(self, name: str) -> Array:
        """Bias of a layer, by its name."""
        return np.array(self._value(f"{_BIASES}{name}.bias"), np.float32)

    def _inputs(self, name: str) -> list[str]:
        node = self._nodes.get(f"{_PREFIX}{name}")
        if node is None:
            raise UnknownGraph(f"no layer {name} in the curves")
        return list(node.input)

    def _value(self, name: str) -> npt.NDArray[np.generic]:
        if name not in self._constants:
            raise UnknownGraph(f"no constant {name} in the curves")
        return np.asarray(numpy_helper.to_array(self._constants[name]))


def pack_curves(curves: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Pack all weights of the curves part. Raises UnknownGraph."""
    part = _Part(curves)
    packed: dict[str, npt.NDArray[np.generic]] = {}

    def integer(name: str, node: str, bias: Array | None) -> None:
        levels, scale = part.levels(node)
        packed.update(dynamic_convolution(name, levels, scale, bias, np.ones(levels.shape[1], np.float32)))

    for branch in CURVES:
        for block in (f"{branch}.{number}" for number in range(CURVE_BLOCKS)):
            for kind in ("conv1", "conv2"):
                integer(f"{block}.{kind}", f"{block}/{kind}", part.bias(f"{block}.{kind}"))
            if part.has(f"{block}/conv1x1/Conv_quant"):
                integer(f"{block}.conv1x1", f"{block}/conv1x1", None)
            if part.has(f"{block}/pool/ConvTranspose"):
                packed[f"{block}.pool.weight"] = part.weight(f"{block}/pool/ConvTranspose")
                packed[f"{block}.pool.bias"] = part.bias(f"{block}.pool")
        levels, scale = part.levels(f"{branch}_proj")
        packed[f"{branch}_proj.weight"] = levels * scale[:, None, None]
        packed[f"{branch}_proj.bias"] = part.bias(f"{branch}_proj")
    packed["norms"] = np.frombuffer(_norms(curves), np.uint8)
    return packed


def _norms(curves: bytes) -> bytes:
    """Subgraph of the part that depends only on the style."""
    model = onnx.load_model_from_string(curves)
    own = [
        f"{_PREFIX}{branch}.{block}/norm{number}/fc/Gemm_output_0"
        for branch in CURVES
        for block in range(CURVE_BLOCKS)
        for number in (1, 2)
    ]
    model.graph.node.append(helper.make_node("Concat", own, ["own"], axis=1))
    model.graph.output.append(helper.make_tensor_value_info("own", onnx.TensorProto.FLOAT, (1, "O")))
    return bytes(Extractor(model).extract_model(["style"], ["own"]).SerializeToString())
