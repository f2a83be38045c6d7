"""Fills the published graph with the weights of a PyTorch checkpoint.

The graph is converted to float32 (``float_graph``), and each of its weights is replaced. A weight is found by
the module that its node came from: the names of the nodes are the paths of the modules. Products with a
matrix have it transposed, and a recurrent layer has its gates in another order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.graph_surgery import UnknownGraph

_EXPORTED = {"encoder.": "", "decoder.decoder.": "decoder."}
"""Prefixes of the export's names, and the modules' own."""

_OF_PREDICTOR = ("F0.", "F0_proj", "N.", "N_proj", "shared")
"""Modules of the predictor that the export calls by themselves."""

_GATES = (0, 3, 1, 2)
"""Places of ONNX' gates (input, output, forget, cell) among PyTorch's (input, forget, cell, output)."""

_RECIPROCAL = "Reciprocal"
_BASIS = "inverse_basis"
"""Constant of the inverse Fourier transform, which is computed as a convolution."""

_WEIGHT = re.compile(r"\.(weight|bias|gamma|beta|alpha[12]\.\d+)$")


class Source(NamedTuple):
    """The source of one constant of the graph."""

    weights: tuple[str, ...]  # names in the checkpoint
    convert: Callable[..., Array]


def fill(graph: ModelProto, weights: Mapping[str, Array]) -> None:
    """Replace the weights of a float32 graph. Raises UnknownGraph for weights that it does not fit."""
    constants = {tensor.name: tensor for tensor in graph.graph.initializer}
    for name, source in sources(graph).items():
        if missing := [weight for weight in source.weights if weight not in weights]:
            raise UnknownGraph(f"the checkpoint has no {missing[0]}")
        given = [weights[weight] for weight in source.weights]
        try:
            array = source.convert(*given)
        except ValueError:
            array = given[0]
        if array.shape != tuple(constants[name].dims):
            raise UnknownGraph(f"{source.weights[0]} has another shape than Kokoro's: {given[0].shape}")
        constants[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
    # Tables of embeddings were bytes.
    for node in graph.graph.node:
        if node.op_type == "DequantizeLinear":
            node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output, node.name))


def weight_names(graph: ModelProto) -> frozenset[str]:
    return frozenset(weight for source in sources(graph).values() for weight in source.weights)


def sources(graph: ModelProto) -> dict[str, Source]:
    constants = {tensor.name for tensor in graph.graph.initializer}
    found: dict[str, Source] = {}
    for node in sorted(graph.graph.node, key=lambda node: len(node.name)):
        for name, source in _of_node(node):
            if name in constants:
                found.setdefault(name, source)
    for name in constants:
        if (own := _own_name(name)) is not None:
            found.setdefault(name, Source((own,), np.asarray))
        elif _RECIPROCAL in name:
            found[name] = Source((_alpha(name),), np.reciprocal)
    return found


def _of_node(node: NodeProto) -> Iterator[tuple[str, Source]]:
    match node.op_type:
        case "Conv" | "ConvTranspose" if not node.input[1].endswith(_BASIS):
            yield node.input[1], Source((f"{module_of(node.name)}.weight",), np.asarray)
        case "MatMul":
            yield node.input[1], Source((f"{module_of(node.name)}.weight",), np.transpose)
        case "LSTM":
            module = module_of(node.name)
            for place, kind in ((1, "weight_ih"), (2, "weight_hh")):
                names = (f"{module}.{kind}_l0", f"{module}.{kind}_l0_reverse")
                yield node.input[place], Source(names, lambda *both: np.stack([_gates(one) for one in both]))
            biases = [
                f"{module}.{kind}_l0{way}" for way in ("", "_reverse") for kind in ("bias_ih", "bias_hh")
            ]
            yield node.input[3], Source(tuple(biases), _biases)


def _gates(weight: Array) -> Array:
    """Return the rows of four gates in ONNX' order."""
    return np.concatenate([np.split(weight, 4)[gate] for gate in _GATES])


def pytorch_gates(weight: Array) -> Array:
    """Return the rows of four gates in PyTorch's order."""
    return np.concatenate([np.split(weight, 4)[_GATES.index(gate)] for gate in range(4)])


def _biases(*four: Array) -> Array:
    ordered = [_gates(one) for one in four]
    return np.stack([np.concatenate(ordered[:2]), np.concatenate(ordered[2:])])


def module_of(node: str) -> str:
    """Return the module of a node: ``decoder.encode.conv1`` of ``/decoder/decoder/encode/conv1/Conv``."""
    _, _, path = child_path(node).partition(".")
    return f"predictor.{path}" if path.startswith(_OF_PREDICTOR) else path


def child_path(node: str) -> str:
    """Return a node's path of modules: ``text_encoder.cnn.0.0`` of ``/text_encoder/cnn.0/cnn.0.0/Conv``."""
    path: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        # A child of a list has the list's name in its own.
        if path and part.startswith(path[-1] + "."):
            path.pop()
        path.append(part)
    return ".".join(path)


def _own_name(constant: str) -> str | None:
    """Return the name in the checkpoint of a constant that kept it."""
    name = constant.removesuffix("_quantized")
    if _WEIGHT.search(name):
        for prefix, own in _EXPORTED.items():
            if name.startswith(prefix):
                return own + name.removeprefix(prefix)
    return None


def _alpha(constant: str) -> str:
    """Return the name of the snake's factor that a constant is the reciprocal of."""
    path, _, name = constant.rpartition("/")
    number = name.removeprefix(_RECIPROCAL).removesuffix("_output_0").strip("_")
    step, which = divmod(int(number or 0), 2)
    return f"{module_of(path + '/' + name)}.alpha{which + 1}.{step}"
