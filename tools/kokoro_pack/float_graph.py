"""Converts Kokoro's int8 graph to float32: the same computation without the rounding of activations.

The export (kokoro-onnx' int8 file, ``published.KOKORO``) stores weights as 8-bit integers and quantises the
input of each product to 8 bits with a scale found in that input: two correct ways of cutting an utterance
therefore never give the same samples. Here weights are dequantised and inputs stay in float32. All names are
kept, so ``graph_surgery`` cuts this graph like the original.

The nodes of one product, before and after:

    x → DynamicQuantizeLinear → x_quantized, x_scale, x_zero_point   x_quantized = x
    x_scale · w_scale                                                1
    bias / (x_scale · w_scale) → Floor → Cast to int32               bias / 1
    MatMulInteger or ConvInteger of x_quantized, w_quantized         MatMul or Conv of x, w
    → Add bias → Cast to float → Mul by (x_scale · w_scale)          → Add bias → 1 · sum

onnxruntime removes the identities when it loads the model. Embedding tables stay bytes: a row is looked up
first and converted to float afterwards, which is exact.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from kani.engines.kokoro.network.onnx_model import Array

_PRODUCTS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}
_LSTM_WEIGHTS, _LSTM_SCALES, _LSTM_ZEROS, _LSTM_INPUTS = slice(1, 3), slice(8, 12, 2), slice(9, 12, 2), 8
_FLOORED_BIAS, _INTEGER_BIAS = ".bias_quant_rounded", ".bias_quantized_node"


def dequantize(model: bytes) -> bytes:
    """Convert the int8 export ``model`` (the file's bytes) to float32, 330 MB. Needs 2 GB meanwhile."""
    return bytes(to_float(onnx.load_model_from_string(model)).SerializeToString())


def to_float(opened: ModelProto) -> ModelProto:
    constants = {tensor.name: tensor for tensor in opened.graph.initializer}
    scales = {node.output[1] for node in opened.graph.node if node.op_type == "DynamicQuantizeLinear"}
    # By name: several nodes may share a constant, as the encoder's layers do.
    made: dict[str, Array] = {}
    nodes: list[NodeProto] = []

    def value(name: str) -> Array:
        return np.asarray(numpy_helper.to_array(constants[name]), np.float32)

    for node in opened.graph.node:
        if node.op_type == "DynamicQuantizeLinear" or node.name.endswith(_FLOORED_BIAS):
            nodes.append(helper.make_node("Identity", node.input[:1], node.output[:1], node.name))
        elif node.op_type == "Mul" and node.input[0] in scales:
            made[node.output[0]] = np.ones((), np.float32)
        elif node.name.endswith(_INTEGER_BIAS):
            nodes.append(helper.make_node("Cast", node.input, node.output, node.name, to=TensorProto.FLOAT))
        elif node.op_type in _PRODUCTS:
            nodes.append(_instead_of(node, _PRODUCTS[node.op_type], node.input[:2]))
            weight, zero = node.input[1], node.input[3]
            # A matrix has a scale for each column, a convolution a single one.
            made[weight] = (value(weight) - value(zero)) * value(weight.removesuffix("_quantized") + "_scale")
        elif node.op_type == "DynamicQuantizeLSTM":
            nodes.append(_instead_of(node, "LSTM", node.input[:_LSTM_INPUTS]))
            names = (node.input[part] for part in (_LSTM_WEIGHTS, _LSTM_SCALES, _LSTM_ZEROS))
            for weight, scale, zero in zip(*names, strict=True):
                # A scale for each direction; the float operator has inputs and gates transposed.
                by_gate = (value(weight).T - value(zero)) * value(scale)
                made[weight] = by_gate.transpose(2, 0, 1)
        else:
            nodes.append(node)

    real = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in made.items()]
    kept = [tensor for name, tensor in constants.items() if name not in made]
    needed = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        opened.graph.name,
        opened.graph.input,
        opened.graph.output,
        [tensor for tensor in (*kept, *real) if tensor.name in needed],
    )
    return helper.make_model(graph, opset_imports=opened.opset_import, ir_version=opened.ir_version)


def _instead_of(node: NodeProto, operation: str, inputs: Iterable[str]) -> NodeProto:
    """A node of the standard operator ``operation`` with the same name, attributes and outputs."""
    made = helper.make_node(operation, list(inputs), list(node.output), node.name)
    made.attribute.extend(node.attribute)
    return made
