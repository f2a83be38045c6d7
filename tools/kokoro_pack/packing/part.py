"""The weights of one part of the published graph, by the names of its layers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper
from onnx.utils import Extractor

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.archive import Content
from tools.kokoro_pack.graph_surgery import UnknownGraph

_INTEGER = ("ConvInteger", "MatMulInteger")

Levels = npt.NDArray[np.int8]


class Part:
    """Gives access to the weights. Raises UnknownGraph for those that the graph lacks."""

    def __init__(self, name: str, content: bytes, nodes: str, constants: str) -> None:
        """name: for errors; nodes, constants: beginnings of the names of its nodes, and of the constants that
        kept their own.
        """
        self._name, self.node_prefix, self._own_prefix = name, nodes, constants
        self._model = onnx.load_model_from_string(content)
        self.graph = self._model.graph
        self._nodes = {node.name: node for node in self.graph.node}
        self.constants = {tensor.name: tensor for tensor in self.graph.initializer}

    def has(self, layer: str) -> bool:
        """True if the part has this layer, by the name of its node."""
        return f"{self.node_prefix}{layer}" in self._nodes

    def weight(self, layer: str) -> Array:
        """Weight of a layer in float32, by the name of its node."""
        node = self._node(layer)
        weight = self.value(node.input[1])
        if node.op_type not in _INTEGER:
            return weight
        # A matrix has a scale for each column, a convolution a single one.
        return (weight - self.value(node.input[3])) * self._scale(node)

    def levels(self, layer: str) -> tuple[Levels, Array]:
        """Levels of a convolution's weight [outputs, inputs, taps], and the value of one [outputs]."""
        node = self._node(f"{layer}/Conv_quant")
        levels = self.value(node.input[1]) - self.value(node.input[3])
        if np.abs(levels).max() > np.iinfo(np.int8).max:
            raise UnknownGraph(f"the weights of {layer} do not fit into signed bytes")
        return levels.astype(np.int8), np.full(len(levels), self._scale(node), np.float32)

    def bias(self, layer: str) -> Array:
        """Bias of a layer, by its name."""
        return self.own(f"{layer}.bias")

    def own(self, name: str) -> Array:
        """Constant of a layer by its own name."""
        return self.value(f"{self._own_prefix}{name}")

    def small(self, name: str, node: str, layer: str) -> Content:
        """Entries of a layer that is computed outside of the models, weight and bias, as ``name``."""
        return {f"{name}.weight": self.weight(node), f"{name}.bias": self.bias(layer)}

    def norms(self, blocks: Iterable[str], *outputs: str) -> bytes:
        """Bytes of the subgraph that depends only on the style: ``outputs``, and ``own``.

        blocks: names of residual blocks; ``own`` has what their norms make of the style, one after the other.
        """
        own = [
            f"{self.node_prefix}{block}/norm{number}/fc/Gemm_output_0"
            for block in blocks
            for number in (1, 2)
        ]
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        model.graph.node.append(helper.make_node("Concat", own, ["own"], axis=1))
        model.graph.output.append(helper.make_tensor_value_info("own", onnx.TensorProto.FLOAT, (1, "O")))
        extracted = Extractor(model).extract_model(["style"], [*outputs, "own"])
        return bytes(extracted.SerializeToString())

    def _node(self, layer: str) -> NodeProto:
        node = self._nodes.get(f"{self.node_prefix}{layer}")
        if node is None:
            raise UnknownGraph(f"no layer {layer} in the {self._name}")
        return node

    def _scale(self, node: NodeProto) -> Array:
        return self.value(node.input[1].removesuffix("_quantized") + "_scale")

    def value(self, constant: str) -> Array:
        """Value of a constant in float32, by its name in the graph."""
        if constant not in self.constants:
            raise UnknownGraph(f"no constant {constant} in the {self._name}")
        return np.array(numpy_helper.to_array(self.constants[constant]), np.float32)
