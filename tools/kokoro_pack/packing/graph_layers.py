"""Reads the generator's layers from its part of the published graph, by their names.

The graph (``graph_surgery``'s "generator") stores weights as 8-bit integers and quantises activations
dynamically. The layers have the dequantised weights, and the biases from before their rounding. A graph that
``float_graph`` converted has both as they are. What is connected to what has to be as in the published graph
(``_STRUCTURES``); any other network is refused.

This module imports ``onnx``, so a server uses it in a child process only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from onnx import TensorProto, helper

from tools.kokoro_pack.graph_surgery import UnknownGraph
from tools.kokoro_pack.packing.layers import (
    Convolution,
    Layers,
    ResidualBlock,
    Snake,
    Stage,
    Step,
    Upsampling,
)
from tools.kokoro_pack.packing.part import Part

_STRUCTURES = {
    "int8": "12ef57d6093158dc4abfbcdc823ed06326f3e0419d8aafb0643b2d890e10a508",
    "float32": "7f58fe52f9e222cbdc10ab12fa82cd37879057ee27aa25ec30410d9d24b9fa59",
}
"""SHA-256 of the structure of the published generator, and of the one that ``float_graph`` makes of it."""

_DILATIONS = (1, 3, 5)
_BLOCKS = 3  # of a stage
_UPSAMPLING_STRIDES = (10, 6)
_SOURCE_STRIDES, _SOURCE_PADDINGS = (6, 1), (3, 0)
_REFLECTED = (0, 1)
_SLOPE, _LAST_SLOPE = 0.1, 0.01
_HOP, _MARGIN = 5, 10
_LOUDER = np.float32(4)

_MEASURED = ("_scale", "_zero_point")
"""Ends of the names of constants that follow from the weights."""


def read_layers(generator: bytes) -> Layers:
    """Read the layers of ``graph_surgery``'s generator part. Raises UnknownGraph."""
    part = Part("generator", generator, "/decoder/decoder/generator/", "decoder.decoder.generator.")
    if _structure(part) not in _STRUCTURES.values():
        raise UnknownGraph("unexpected generator graph: its nodes are not those of Kokoro's")
    norms = dict(_norms(part))
    last = part.weight("conv_post/Conv")
    return Layers(
        tuple(_stage(part, place, norms) for place in range(len(_UPSAMPLING_STRIDES))),
        _LAST_SLOPE,
        Convolution("conv_post", last, part.bias("conv_post"), 1, 1, last.shape[2] // 2),
        np.ascontiguousarray(part.weight("istft/stft/ConvTranspose")[:, 0] * _LOUDER),
        _HOP,
        _MARGIN,
        sum(size for _, size in norms.values()),
    )


def _structure(part: Part) -> str:
    """Return a hash of all nodes that the audio depends on, their connections, shapes and plain constants."""
    known = {given.name: given.name for given in part.graph.input}
    for name, tensor in part.constants.items():
        plain = tensor.data_type == TensorProto.INT64 or not tensor.dims
        value = part.value(name).tolist() if plain and not name.endswith(_MEASURED) else None
        known[name] = repr((list(tensor.dims), value))
    for node in part.graph.node:
        attributes = sorted((each.name, helper.get_attribute_value(each)) for each in node.attribute)
        content = repr((node.op_type, attributes, [known.get(name) for name in node.input]))
        digest = hashlib.sha256(content.encode()).hexdigest()
        known |= {output: f"{digest} {place}" for place, output in enumerate(node.output)}
    return hashlib.sha256(known["audio"].encode()).hexdigest()


def _norms(part: Part) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the name of each norm, with its first channel among those of all norms, and their number."""
    split = next(node for node in part.graph.node if node.op_type == "Split" and node.input[0] == "scale")
    sizes = part.value(split.input[1]).astype(int).tolist()
    names = (output.removeprefix(part.node_prefix).rpartition("/")[0] for output in split.output)
    yield from zip(names, zip(accumulate(sizes, initial=0), sizes, strict=False), strict=True)


def _stage(part: Part, place: int, norms: dict[str, tuple[int, int]]) -> Stage:
    name, source = f"ups.{place}", f"noise_convs.{place}"
    stride = _UPSAMPLING_STRIDES[place]
    upsampling = part.weight(f"{name}/ConvTranspose")
    return Stage(
        _SLOPE,
        Upsampling(name, upsampling, part.bias(name), stride, stride // 2),
        _REFLECTED[place],
        _convolution(part, source, stride=_SOURCE_STRIDES[place], padding=_SOURCE_PADDINGS[place]),
        _block(part, f"noise_res.{place}", norms),
        tuple(_block(part, f"resblocks.{_BLOCKS * place + block}", norms) for block in range(_BLOCKS)),
    )


def _block(part: Part, name: str, norms: dict[str, tuple[int, int]]) -> ResidualBlock:
    def step(pair: int, kind: int, dilation: int) -> Step:
        alpha = part.own(f"{name}.alpha{kind}.{pair}").ravel()
        number = 2 * pair + kind - 1
        inverse = part.value(f"{part.node_prefix}{name}/Reciprocal{f'_{number}' * (number > 0)}_output_0")
        convolution = f"{name}.convs{kind}.{pair}"
        if not np.allclose(inverse.ravel(), 1 / alpha, rtol=1e-6, atol=0):
            raise UnknownGraph(f"unexpected generator graph: the snake before {convolution}")
        first, _ = norms[f"{name}/adain{kind}.{pair}"]
        return Step(Snake(first, alpha), _convolution(part, convolution, dilation=dilation))

    pairs = ((step(pair, 1, dilation), step(pair, 2, 1)) for pair, dilation in enumerate(_DILATIONS))
    return ResidualBlock(name, tuple(pairs))


def _convolution(
    part: Part, name: str, *, stride: int = 1, dilation: int = 1, padding: int | None = None
) -> Convolution:
    """Read a convolution that the published graph computes in int8; padding: None keeps the length."""
    weight = np.ascontiguousarray(part.weight(f"{name.replace('.convs', '/convs')}/Conv_quant"))
    padding = dilation * (weight.shape[2] - 1) // 2 if padding is None else padding
    return Convolution(name, weight, part.bias(name), stride, dilation, padding)
