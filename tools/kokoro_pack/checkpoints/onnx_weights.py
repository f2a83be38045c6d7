"""The weights of another ONNX export of Kokoro's network, by their names in its modules.

An exporter keeps the names of some weights (``kmodel.decoder.encode.conv1.bias``) and folds others into
constants without a name. Those are found beside a bias that has one, or by the name of their node, which is
the path of its module as far as it was called: ``/decoder/encode/conv1x1/Conv``, ``/F0.1/conv1x1/Conv``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.checkpoints.graph_weights import child_path, pytorch_gates
from tools.kokoro_pack.checkpoints.pytorch_weights import NORMED, joined_norms
from tools.kokoro_pack.checkpoints.tensor_file import NoTensors

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)


def read_onnx_weights(model: ModelProto, wanted: Collection[str]) -> dict[str, Array]:
    """Return the weights of an export that are found, of those ``wanted``, as float32.

    Raises NoTensors for a weight that is only half there, or that is in another file: a model may name any.
    """
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            raise NoTensors(f"its weight {tensor.name} is kept in another file: save it as one file")
    constants = {
        tensor.name: np.asarray(numpy_helper.to_array(tensor), np.float32)
        for tensor in model.graph.initializer
        if tensor.data_type in _FLOATS
    }
    accepted = {*wanted}
    for name in wanted:
        if name.endswith(".weight"):
            accepted |= {name.removesuffix(".weight") + half for pair in NORMED for half in pair}
    named = {constant: own for constant in constants if (own := _own_name(constant, accepted))}
    found = joined_norms({own: constants[constant] for constant, own in named.items()})
    added = {
        name: next((named[each] for each in node.input if each in named), "")
        for node in model.graph.node
        if node.op_type == "Add"
        for name in node.input
    }
    unclear: list[tuple[str, NodeProto]] = []
    for node in model.graph.node:
        if not _is_layer(node, constants):
            continue
        beside = [named[each] for each in node.input if each in named]
        bias = beside[0] if beside else added.get(node.output[0], "")
        if bias.endswith(".bias"):
            _add(found, bias.removesuffix(".bias"), node, constants)
        else:
            unclear.append((child_path(node.name), node))
    # A longer path is the more certain: "text_encoder.lstm" before "lstm".
    for path, node in sorted(unclear, key=lambda each: -len(each[0])):
        modules = {name.rpartition(".")[0] for name in wanted if name not in found}
        fitting = [module for module in modules if path and _fits(module, path)]
        if len(fitting) == 1 or path in fitting:
            _add(found, path if path in fitting else fitting[0], node, constants)
    return found


def _own_name(constant: str, accepted: Collection[str]) -> str:
    """Return the longest end of a constant's name that is a name in Kokoro's modules, or ""."""
    parts = constant.split(".")
    ends = (".".join(parts[at:]) for at in range(len(parts)))
    return next((end for end in ends if end in accepted), "")


def _is_layer(node: NodeProto, constants: Mapping[str, Array]) -> bool:
    kinds = ("Conv", "ConvTranspose", "MatMul", "Gemm", "LSTM")
    return node.op_type in kinds and node.input[1] in constants


def _fits(module: str, path: str) -> bool:
    return f".{module}".endswith(f".{path}") or f".{path}".endswith(f".{module}")


def _add(found: dict[str, Array], module: str, node: NodeProto, constants: Mapping[str, Array]) -> None:
    for name, weight in _weights(module, node, constants):
        found.setdefault(name, weight)


def _weights(module: str, node: NodeProto, constants: Mapping[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the weights of a layer as PyTorch has them."""
    weight = constants[node.input[1]]
    if node.op_type == "LSTM":
        again, biases = constants[node.input[2]], constants[node.input[3]]
        for at, way in enumerate(("", "_reverse")):
            yield f"{module}.weight_ih_l0{way}", pytorch_gates(weight[at])
            yield f"{module}.weight_hh_l0{way}", pytorch_gates(again[at])
            for kind, bias in zip(("bias_ih", "bias_hh"), np.split(biases[at], 2), strict=True):
                yield f"{module}.{kind}_l0{way}", pytorch_gates(bias)
        return
    turned = node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not any(each.name == "transB" and each.i for each in node.attribute)
    )
    yield f"{module}.weight", weight.T if turned else weight
