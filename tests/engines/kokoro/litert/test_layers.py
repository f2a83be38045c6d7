"""The generator's layers as read from the graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper

from kani.engines.kokoro.litert.calibration.float_generator import FloatGenerator
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.layers import Layers, ResidualBlock, residual_blocks
from kani.engines.kokoro.network.float_graph import dequantize
from kani.engines.kokoro.network.graph_surgery import UnknownGraph
from kani.engines.kokoro.network.onnx_decoder import OnnxGenerator
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.network.parts import LoadPart
from kani.engines.kokoro.network.probe import load_probe
from tests.support.kokoro import CHANNELS, agreement_db


@pytest.fixture(scope="module")
def generator(part: LoadPart) -> bytes:
    return part("generator")


@pytest.fixture(scope="module")
def layers(generator: bytes) -> Layers:
    return read_layers(generator)


def test_layers_have_shapes_of_original_network(layers: Layers) -> None:
    first, second = layers.stages
    assert [stage.upsampling.weight.shape for stage in layers.stages] == [(512, 256, 20), (256, 128, 12)]
    assert [(stage.upsampling.stride, stage.upsampling.padding) for stage in layers.stages] == [
        (10, 5),
        (6, 3),
    ]
    assert [stage.source.weight.shape for stage in layers.stages] == [(256, 22, 12), (128, 22, 1)]
    assert [(stage.source.stride, stage.source.padding) for stage in layers.stages] == [(6, 3), (1, 0)]
    assert [stage.reflected for stage in layers.stages] == [0, 1]
    assert (first.slope, second.slope, layers.slope) == (0.1, 0.1, 0.01)
    assert (layers.last.weight.shape, layers.last.padding) == ((22, 128, 7), 3)
    assert (layers.basis.shape, layers.hop, layers.margin) == ((22, 20), 5, 10)
    built = {block.name: shape_of(block) for block in residual_blocks(layers)}
    assert built == {
        "noise_res.0": (256, 7),
        "resblocks.0": (256, 3),
        "resblocks.1": (256, 7),
        "resblocks.2": (256, 11),
        "noise_res.1": (128, 11),
        "resblocks.3": (128, 3),
        "resblocks.4": (128, 7),
        "resblocks.5": (128, 11),
    }


def shape_of(block: ResidualBlock) -> tuple[int, int]:
    for place, (first, second) in enumerate(block.pairs):
        assert first.convolution.name == f"{block.name}.convs1.{place}"
        assert second.convolution.name == f"{block.name}.convs2.{place}"
        assert (first.convolution.dilation, second.convolution.dilation) == (1 + 2 * place, 1)
    steps = [step for pair in block.pairs for step in pair]
    ((outputs, inputs, taps),) = {step.convolution.weight.shape for step in steps}
    assert outputs == inputs and {len(step.snake.alpha) for step in steps} == {inputs}
    return inputs, taps


def test_norm_channels_are_used_once(layers: Layers) -> None:
    snakes = [step.snake for block in residual_blocks(layers) for pair in block.pairs for step in pair]
    channels = np.concatenate([np.arange(snake.norm, snake.norm + len(snake.alpha)) for snake in snakes])
    assert len(snakes) == 48
    assert sorted(channels.tolist()) == list(range(layers.norms)) == list(range(CHANNELS))


def test_plain_computation_equals_float32_graph(generator: bytes, layers: Layers) -> None:
    window = load_probe()[0]._replace(before=0, after=0)
    expected = OnnxGenerator(dequantize(generator), 2).generate(window, Stop())
    made = FloatGenerator(layers).audio(window)
    assert made.shape == expected.shape and np.abs(expected).max() > 0.05
    assert agreement_db(expected, made) >= 90


def dilate(graph: ModelProto) -> None:
    node = next(
        node for node in graph.graph.node if node.op_type == "ConvInteger" and "convs1.1" in node.name
    )
    (dilations,) = (attribute for attribute in node.attribute if attribute.name == "dilations")
    dilations.ints[0] = 2


def square_otherwise(graph: ModelProto) -> None:
    power = next(node for node in graph.graph.node if node.op_type == "Pow")
    (exponent,) = (tensor for tensor in graph.graph.initializer if tensor.name == power.input[1])
    exponent.CopyFrom(numpy_helper.from_array(np.array(3, np.float32), exponent.name))


def cross_norms(graph: ModelProto) -> None:
    split = next(node for node in graph.graph.node if node.op_type == "Split" and node.input[0] == "shift")
    split.output[0], split.output[2] = split.output[2], split.output[0]


def skip_residual(graph: ModelProto) -> None:
    maker = {output: node for node in graph.graph.node for output in node.output}
    name = "/decoder/decoder/generator/resblocks.4/Add_5_output_0"
    maker[name].input[1] = maker[maker[name].input[1]].input[1]


def bend_the_phase(graph: ModelProto) -> None:
    node = next(node for node in graph.graph.node if node.op_type == "Sin" and "generator/Sin" in node.name)
    node.op_type = "Tanh"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (dilate, r"convs1\.1"),
        (square_otherwise, "the snake before"),
        (cross_norms, "the norm before"),
        (skip_residual, r"what is added after resblocks\.4\.convs1\.1"),
        (bend_the_phase, "Sin at"),
    ],
)
def test_other_network_is_refused(generator: bytes, change: Callable[[ModelProto], None], told: str) -> None:
    graph = onnx.load_model_from_string(generator)
    change(graph)
    with pytest.raises(UnknownGraph, match=told):
        read_layers(graph.SerializeToString())
