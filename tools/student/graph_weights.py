"""Reads a student's weights from its ONNX graphs, and writes trained ones into copies of them.

The graphs' matrices are int8, multiplied by values that are quantised when it runs (ONNX ``MatMulInteger``);
everything else is float32. The published ones have one scale for each matrix, those that are written one for
each output. A matrix is found by the bias that is added to its product.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from kani.engines.kokoro.text.vocabulary import VOCABULARY

LONG = 2.5
"""Frames above which a sound can be made longer."""

_POWER, _FACTOR, _SPACE = "lengthening", "lengthening.factor", "lengthening.space"
_LEVELS = 127
_LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class _Matrix:
    """The names of an int8 matrix [inputs, outputs], and of its scales and zero points."""

    values: str
    scale: str
    zero: str


def read_weights(*models: onnx.ModelProto) -> dict[str, Tensor]:
    """Return the state of a ``network.Student`` that computes the same as the graphs, but for rounding."""
    return {name: tensor for model in models for name, tensor in _weights_of(model).items()}


def _weights_of(model: onnx.ModelProto) -> dict[str, Tensor]:
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    matrices = _matrices(model, arrays)
    state = {
        name: torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(("m.", "pn."))
    }
    for weight, matrix in matrices.items():
        levels = arrays[matrix.values].astype(np.float32) - arrays[matrix.zero].astype(np.float32)
        state[weight] = torch.from_numpy((levels * arrays[matrix.scale]).T.copy())
    return state


def write_weights(model: onnx.ModelProto, state: Mapping[str, Tensor]) -> onnx.ModelProto:
    """Return a copy of ``model`` with its weights from ``state``, matrices rounded to int8.

    With a scale for each output, not for the matrix, DNSMOS is 0.017 ± 0.009 higher (80 Spanish sentences).
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    tensors = {tensor.name: tensor for tensor in copy.graph.initializer}
    arrays = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    matrices = _matrices(copy, arrays)
    for name in _weights_of(model):
        tensor = state[name]
        array = tensor.detach().to("cpu", torch.float32).numpy()
        if name not in matrices:
            _replace(tensors[name], array)
            continue
        matrix = matrices[name]
        scales = np.maximum(np.abs(array).max(axis=1), _LEAST).astype(np.float32) / np.float32(_LEVELS)
        _replace(tensors[matrix.values], np.rint(array.T / scales).astype(np.int8))
        _set(tensors[matrix.scale], scales)
        _set(tensors[matrix.zero], np.zeros(len(scales), np.int8))
    return copy


def lengthened(model: onnx.ModelProto, power: float) -> onnx.ModelProto:
    """Return a copy of the prosody's ``model`` in which long sounds are longer.

    A sound of f frames, more than ``LONG``, gets LONG · (f / LONG) ** power; marks, spaces and pads keep
    theirs. In a model that was lengthened, the power is replaced.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    values: dict[str, np.generic] = {_POWER: np.float32(power), _FACTOR: np.float32(LONG ** (1 - power))}
    tensors = {tensor.name: tensor for tensor in copy.graph.initializer}
    if _POWER not in tensors:
        values |= {_SPACE: np.int64(VOCABULARY[" "]), f"{_SPACE}.row": np.int64(0)}
        tensors = {name: copy.graph.initializer.add(name=name) for name in values}
        divisions = enumerate(copy.graph.node)
        at, division = next((at, each) for at, each in divisions if "speed" in each.input)
        frames, division.input[0] = division.input[0], f"{_POWER}.frames"
        steps = (
            ("Pow", [frames, _POWER], "raised"),
            ("Mul", [f"{_POWER}.raised", _FACTOR], "scaled"),
            ("Max", [frames, f"{_POWER}.scaled"], "longer"),
            ("Gather", ["ids", f"{_SPACE}.row"], "symbols"),
            ("Greater", [f"{_POWER}.symbols", _SPACE], "sounds"),
            ("Where", [f"{_POWER}.sounds", f"{_POWER}.longer", frames], "frames"),
        )
        for place, (kind, inputs, output) in enumerate(steps):
            node = onnx.helper.make_node(kind, inputs, [f"{_POWER}.{output}"])
            copy.graph.node.insert(at + place, node)
    for name, value in values.items():
        _set(tensors[name], np.asarray(value))
    return copy


def _replace(tensor: onnx.TensorProto, array: npt.NDArray[np.generic]) -> None:
    if tuple(tensor.dims) != array.shape:
        raise ValueError(f"{tensor.name} has the shape {tuple(tensor.dims)}, not {array.shape}")
    _set(tensor, array)


def _set(tensor: onnx.TensorProto, array: npt.NDArray[np.generic]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.require(array, requirements="C"), tensor.name))


def _matrices(model: onnx.ModelProto, arrays: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, _Matrix]:
    """The matrices by the names of their weights in ``network.Student``."""
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    found = {}
    for node in model.graph.node:
        if node.op_type != "MatMulInteger":
            continue
        values, zero = node.input[1], node.input[3]
        follower = node
        while follower.op_type != "Add":
            (follower,) = consumers[follower.output[0]]
        (bias,) = (name for name in follower.input if name in arrays)
        weight = bias.removesuffix("bias") + "weight"
        found[weight] = _Matrix(values, values.removesuffix("_quantized") + "_scale", zero)
    return found
