"""Reads the generator's layers from its part of the published graph.

The graph (``graph_surgery``'s "generator") stores weights as 8-bit integers and quantises activations
dynamically. The layers have the dequantised weights, and the biases from before their rounding. A graph that
``float_graph`` converted has both as they are. The connections are checked node by node; any other network is
refused.

This module imports ``onnx``, so a server uses it in a child process only.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from kani.engines.kokoro.litert.packing.layers import (
    Convolution,
    Layers,
    ResidualBlock,
    Snake,
    Stage,
    Step,
    Upsampling,
    residual_blocks,
)
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.onnx_model import Array

_PREFIX = "/decoder/decoder/generator/"
_DILATIONS = (1, 3, 5)
_SLOPE, _LAST_SLOPE = 0.1, 0.01
_HOP = 5
_LOUDER = 4.0
_BINS = 11


def read_layers(generator: bytes) -> Layers:
    """Read the layers of ``graph_surgery``'s generator part. Raises UnknownGraph."""
    return _Graph(generator).layers()


class _Graph:
    """Reads the part from the audio backwards."""

    def __init__(self, generator: bytes) -> None:
        graph = onnx.load_model_from_string(generator).graph
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._maker = {output: node for node in graph.node for output in node.output}
        self._scales, self._shifts = (self._offsets(graph.node, packed) for packed in ("scale", "shift"))

    def layers(self) -> Layers:
        """Read all layers."""
        loud = self._maker_of("audio", "Reshape", "Mul")
        _expect(self._number(loud.input[1]) == _LOUDER, "the inverse STFT's factor")
        cut = self._maker_of(loud.input[0], "Slice")
        margin = int(self._number(cut.input[1]))
        _expect(self._number(cut.input[2]) == -margin, "the inverse STFT's margin")
        inverse = self._maker_of(cut.input[0], "ConvTranspose")
        basis = self._value(inverse.input[1])
        _expect(
            basis.shape == (2 * _BINS, 1, 4 * _HOP) and _attributes(inverse) == _plain(_HOP, 0),
            "the inverse STFT",
        )
        spectrum = self._spectrum(inverse.input[0])
        node = self._maker_of(spectrum, "Conv")
        last = self._float_convolution(node)
        slope, tensor = self._leaky(node.input[0])
        _expect(slope == _LAST_SLOPE, "the last leaky ReLU")
        second, tensor = self._stage(tensor)
        first, tensor = self._stage(tensor)
        _expect(tensor == "features", "the first stage")
        layers = Layers(
            (first, second),
            slope,
            last,
            np.ascontiguousarray(basis[:, 0] * np.float32(_LOUDER)),
            _HOP,
            margin,
            sum(size for _, size in self._scales.values()),
        )
        used = [step.snake.norm for block in residual_blocks(layers) for pair in block.pairs for step in pair]
        _expect(sorted(used) == sorted(at for at, _ in self._scales.values()), "the norms' order")
        return layers

    def _spectrum(self, tensor: str) -> str:
        """Output of the last convolution, from which the complex spectrum ``tensor`` is computed."""
        both = self._maker_of(tensor, "Concat")
        real, imaginary = (self._maker_of(part, "Mul") for part in both.input)
        cosine, sine = self._maker_of(real.input[1], "Cos"), self._maker_of(imaginary.input[1], "Sin")
        magnitude = self._maker_of(real.input[0], "Exp", "Slice")
        phase = self._maker_of(cosine.input[0], "Sin", "Slice")
        same = (
            imaginary.input[0] == real.input[0]
            and sine.input[0] == cosine.input[0]
            and phase.input[0] == magnitude.input[0]
            and [self._number(magnitude.input[at]) for at in (1, 2, 3)] == [0, _BINS, 1]
            and [self._number(phase.input[at]) for at in (1, 3)] == [_BINS, 1]
            and self._number(phase.input[2]) >= 2 * _BINS
        )
        _expect(same, "magnitude and phase")
        return str(magnitude.input[0])

    def _stage(self, tensor: str) -> tuple[Stage, str]:
        """Stage that outputs ``tensor``, and its input."""
        mean = self._maker_of(tensor, "Div")
        _expect(self._number(mean.input[1]) == 3, "the blocks' mean")
        most = self._maker_of(mean.input[0], "Add")
        outputs = (*self._maker_of(most.input[0], "Add").input, most.input[1])
        blocks, inputs = zip(*(self._block(output) for output in outputs), strict=True)
        _expect(len(set(inputs)) == 1, "the blocks' input")
        added = self._maker_of(inputs[0], "Add")
        source_block, tensor = self._block(added.input[1])
        source, tensor = self._convolution(tensor)
        _expect(tensor == "spectra", "the source")
        tensor, reflected = added.input[0], 0
        pad = self._maker.get(tensor)
        if pad is not None and pad.op_type == "Pad":
            pads = self._value(pad.input[1]).astype(int).tolist()
            reflected = pads[2]
            _expect(
                pads == [0, 0, reflected, 0, 0, 0] and _attributes(pad) == {"mode": "reflect"},
                "the reflection",
            )
            tensor = pad.input[0]
        node = self._maker_of(tensor, "ConvTranspose")
        upsampling = self._upsampling(node)
        slope, tensor = self._leaky(node.input[0])
        _expect(slope == _SLOPE, f"the leaky ReLU before {upsampling.name}")
        return Stage(slope, upsampling, reflected, source, source_block, blocks), tensor

    def _block(self, tensor: str) -> tuple[ResidualBlock, str]:
        """Residual block that outputs ``tensor``, and its input."""
        pairs: list[tuple[Step, Step]] = []
        for dilation in reversed(_DILATIONS):
            sum_ = self._maker_of(tensor, "Add")
            second, between = self._step(sum_.input[0])
            first, tensor = self._step(between)
            name = first.convolution.name
            _expect(tensor == sum_.input[1], f"what is added after {name}")
            dilations = (first.convolution.dilation, second.convolution.dilation)
            _expect(dilations == (dilation, 1), f"dilations of {name}")
            pairs.insert(0, (first, second))
        return ResidualBlock(pairs[0][0].convolution.name.rpartition(".convs")[0], tuple(pairs)), tensor

    def _step(self, tensor: str) -> tuple[Step, str]:
        """Step that outputs ``tensor``, and its input."""
        convolution, tensor = self._convolution(tensor)
        outputs, inputs, taps = convolution.weight.shape
        same = outputs == inputs and convolution.stride == 1
        _expect(same and 2 * convolution.padding == convolution.dilation * (taps - 1), convolution.name)
        snake = self._maker_of(tensor, "Add")
        normed = snake.input[0]
        divided = self._maker_of(snake.input[1], "Mul")
        square = self._maker_of(divided.input[1], "Pow")
        angle = self._maker_of(square.input[0], "Sin", "Mul")
        alpha = self._value(angle.input[0]).ravel()
        _expect(
            self._number(square.input[1]) == 2
            and angle.input[1] == normed
            and np.allclose(self._value(divided.input[0]).ravel(), 1 / alpha, rtol=1e-6, atol=0),
            f"the snake before {convolution.name}",
        )
        norm = self._maker_of(normed, "Add")
        scaled = self._maker_of(norm.input[0], "Mul")
        place = self._scales.get(scaled.input[1])
        _expect(
            place is not None
            and place == self._shifts.get(norm.input[1])
            and place[1] == len(alpha) == inputs,
            f"the norm before {convolution.name}",
        )
        assert place is not None
        return Step(Snake(place[0], alpha), convolution), scaled.input[0]

    def _convolution(self, tensor: str) -> tuple[Convolution, str]:
        """Convolution that outputs ``tensor``, in int8 or converted, and its input before quantisation."""
        scaled = self._maker_of(tensor, "Mul")
        added = self._maker_of(scaled.input[0], "Cast", "Add")
        if self._is_converted(added.input[0]):
            node = self._maker_of(added.input[0], "Conv")
            bias = self._maker_of(added.input[1], "Reshape", "Cast", "Identity", "Div").input
            given = self._maker_of(node.input[0], "Identity").input[0]
            name = _name_of(node)
            _expect(self._number(scaled.input[1]) == self._number(bias[1]) == 1, f"the scales of {name}")
            return _convolution(name, self._value(node.input[1]), self._value(bias[0]), node), given
        node = self._maker_of(added.input[0], "ConvInteger")
        divided = self._maker_of(added.input[1], "Reshape", "Cast", "Floor", "Div")
        rounded = self._maker_of(node.input[0], "DynamicQuantizeLinear")
        scale = self._maker_of(scaled.input[1], "Mul")
        name = _name_of(node)
        _expect(
            divided.input[1] == scaled.input[1]
            and scale.input[0] == rounded.output[1]
            and node.input[2] == rounded.output[2],
            f"the scales of {name}",
        )
        zero, unit = self._value(node.input[3]), self._value(scale.input[1])
        weight = np.ascontiguousarray((self._value(node.input[1]) - zero) * unit)
        return _convolution(name, weight, self._value(divided.input[0]), node), rounded.input[0]

    def _is_converted(self, tensor: str) -> bool:
        node = self._maker.get(tensor)
        return node is not None and node.op_type == "Conv"

    def _float_convolution(self, node: NodeProto) -> Convolution:
        weight, bias = (self._value(name) for name in node.input[1:])
        return _convolution(_name_of(node), weight, bias, node)

    def _upsampling(self, node: NodeProto) -> Upsampling:
        weight, bias = (self._value(name) for name in node.input[1:])
        taps = weight.shape[2]
        stride = taps // 2
        padding = stride // 2
        name = _name_of(node)
        _expect(2 * stride == taps and _attributes(node) == _plain(stride, padding), name)
        return Upsampling(name, weight, bias, stride, padding)

    def _leaky(self, tensor: str) -> tuple[float, str]:
        """Slope of the leaky ReLU that outputs ``tensor``, and its input."""
        node = self._maker_of(tensor, "LeakyRelu")
        return round(_attributes(node).get("alpha", 0.01), 6), node.input[0]

    def _offsets(self, nodes: Iterable[NodeProto], packed: str) -> dict[str, tuple[int, int]]:
        """First channel in ``packed`` and number of channels of each norm, by its tensor's name."""
        splits = [node for node in nodes if node.op_type == "Split" and node.input[0] == packed]
        _expect(len(splits) == 1 and _attributes(splits[0]) == {"axis": 1}, f"the split of {packed}")
        (split,) = splits
        sizes = self._value(split.input[1]).astype(int).tolist()
        starts = accumulate(sizes, initial=0)
        return dict(zip(split.output, zip(starts, sizes, strict=False), strict=True))

    def _maker_of(self, tensor: str, operation: str, *others: str) -> NodeProto:
        """Follow a chain of nodes through their first inputs; returns the last node."""
        node = self._maker.get(tensor)
        if node is None or node.op_type != operation:
            raise _unknown(f"{operation} at {tensor}")
        return self._maker_of(node.input[0], *others) if others else node

    def _value(self, name: str) -> Array:
        _expect(name in self._constants, f"constant {name}")
        return np.array(numpy_helper.to_array(self._constants[name]), np.float32)

    def _number(self, name: str) -> float:
        return float(self._value(name).item())


def _convolution(name: str, weight: Array, bias: Array, node: NodeProto) -> Convolution:
    attributes = _attributes(node)
    stride, dilation, padding = (attributes.get(key, [0])[0] for key in ("strides", "dilations", "pads"))
    _expect(len(bias) == len(weight) and attributes == _plain(stride, padding, dilation), name)
    return Convolution(name, weight, bias, stride, dilation, padding)


def _attributes(node: NodeProto) -> dict[str, Any]:
    """Attributes of a node without the kernel's shape, which is the weight's."""
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    attributes.pop("kernel_shape", None)
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}


def _plain(stride: int, padding: int, dilation: int = 1) -> dict[str, Any]:
    """Attributes of a convolution."""
    return {
        "auto_pad": "NOTSET",
        "dilations": [dilation],
        "group": 1,
        "pads": [padding, padding],
        "strides": [stride],
    }


def _name_of(node: NodeProto) -> str:
    """Name of a layer in the original network, like ``resblocks.0.convs1.2``."""
    name = node.name.removeprefix(_PREFIX).rpartition("/")[0].replace("/", ".")
    _expect(bool(name), f"the layer of {node.name}")
    return name


def _expect(met: bool, what: str) -> None:
    """Raise UnknownGraph unless the condition is met."""
    if not met:
        raise _unknown(what)


def _unknown(what: str) -> UnknownGraph:
    return UnknownGraph(f"unexpected generator graph: {what}")
