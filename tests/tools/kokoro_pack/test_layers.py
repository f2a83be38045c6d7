"""The generator's layers: graphs of LiteRT, what is read of the published graph, and scales."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, numpy_helper

from kani.engines.kokoro.litert.model import Model
from kani.engines.kokoro.network.decoder_checks import load_probe
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import LoadPart
from tests.support.kokoro import agreement_db
from tools.kokoro_data.calibrate import CALIBRATION_SENTENCES, GeneratorInputs
from tools.kokoro_pack.calibration.float_generator import FloatGenerator
from tools.kokoro_pack.calibration.scales import (
    InputRecorder,
    NotCalibrated,
    Range,
    RoundedConvolution,
    best_scale,
    convolutions,
    fake_quantised,
    least_error,
    scale_of,
)
from tools.kokoro_pack.float_graph import dequantize
from tools.kokoro_pack.graph_surgery import UnknownGraph
from tools.kokoro_pack.onnx_generator import OnnxGenerator
from tools.kokoro_pack.packing.generator import Scale, load_scales
from tools.kokoro_pack.packing.graph import LEVEL, Graph
from tools.kokoro_pack.packing.graph_layers import read_layers
from tools.kokoro_pack.packing.layers import Convolution

RANDOM = np.random.default_rng(5)


def rows(count: int, channels: int) -> Array:
    return RANDOM.standard_normal((count, channels)).astype(np.float32)


def convolved(values: Array, weight: Array, dilation: int = 1) -> Array:
    """Convolution [T − reach, outputs] of values [T, inputs] with weight [outputs, inputs, taps]."""
    taps = weight.shape[2]
    count = len(values) - (taps - 1) * dilation
    parts = [values[tap * dilation : tap * dilation + count] @ weight[:, :, tap].T for tap in range(taps)]
    return np.sum(parts, axis=0, dtype=np.float32)


@pytest.mark.parametrize("dilation", [1, 3])
def test_convolution_of_known_levels_is_exact(dilation: int) -> None:
    """Levels within [0, 255] are not rounded, whatever their extremes in a window are."""
    levels = RANDOM.integers(-127, 128, (8, 16, 3), np.int8)
    scale, bias = RANDOM.random(8, np.float32) + 0.5, rows(1, 8)[0]
    graph = Graph()
    clipped = graph.add_clipped(graph.input("given", 16), graph.constant(np.zeros(16)))
    made = graph.convolve(graph.fixed_levels(clipped), levels, scale / LEVEL, bias, dilation)
    model = Model(graph.finish(made=graph.rows(made, dropped=1)))
    for count in (20, 33):
        given = RANDOM.integers(3, 200, (count, 16)).astype(np.float32)
        expected = convolved(given, levels.astype(np.float32), dilation) * scale + bias
        np.testing.assert_allclose(model.run({"given": given * LEVEL})["made"], expected, rtol=1e-4, atol=0.1)


def test_plain_computation_equals_float32_graph(part: LoadPart) -> None:
    window = load_probe()[0]._replace(before=0, after=0)
    expected = OnnxGenerator(dequantize(part("generator")), 2).generate(window, Stop())
    made = FloatGenerator(read_layers(part("generator"))).audio(window)
    assert made.shape == expected.shape and np.abs(expected).max() > 0.05
    assert agreement_db(expected, made) >= 90


def node_of(model: ModelProto, kind: str, name: str = "", given: str = "") -> NodeProto:
    return next(
        node
        for node in model.graph.node
        if node.op_type == kind and name in node.name and given in ("", node.input[0])
    )


def dilate(model: ModelProto) -> None:
    node = node_of(model, "ConvInteger", "convs1.1")
    (dilations,) = (attribute for attribute in node.attribute if attribute.name == "dilations")
    dilations.ints[0] = 2


def square_otherwise(model: ModelProto) -> None:
    name = node_of(model, "Pow").input[1]
    (exponent,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    exponent.CopyFrom(numpy_helper.from_array(np.array(3, np.float32), name))


def cross_norms(model: ModelProto) -> None:
    split = node_of(model, "Split", given="shift")
    split.output[0], split.output[2] = split.output[2], split.output[0]


def skip_residual(model: ModelProto) -> None:
    maker = {output: node for node in model.graph.node for output in node.output}
    name = "/decoder/decoder/generator/resblocks.4/Add_5_output_0"
    maker[name].input[1] = maker[maker[name].input[1]].input[1]


def bend_the_phase(model: ModelProto) -> None:
    node_of(model, "Sin", "generator/Sin").op_type = "Tanh"


def halve_a_snake(model: ModelProto) -> None:
    (alpha,) = (each for each in model.graph.initializer if each.name.endswith("resblocks.4.alpha1.1"))
    alpha.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(alpha) / np.float32(2), alpha.name))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        *((change, "its nodes") for change in (dilate, square_otherwise, cross_norms, skip_residual)),
        (bend_the_phase, "its nodes"),
        (halve_a_snake, r"the snake before resblocks\.4\.convs1\.1"),
    ],
)
def test_other_network_is_refused(part: LoadPart, change: Callable[[ModelProto], None], told: str) -> None:
    graph = onnx.load_model_from_string(part("generator"))
    change(graph)
    with pytest.raises(UnknownGraph, match=told):
        read_layers(graph.SerializeToString())


def test_uncalibrated_voice_is_within_20_db(part: LoadPart) -> None:
    """A sentence of a voice outside of the calibration."""
    voice, known, generator_inputs = "am_santa", load_scales(), GeneratorInputs(part)
    int8 = list(convolutions(read_layers(part("generator"))))
    assert voice not in CALIBRATION_SENTENCES
    assert set(known) == {convolution.name for convolution in int8}
    inputs = InputRecorder([*known])
    reference = FloatGenerator(read_layers(part("generator")), inputs)
    reference.audio(generator_inputs.of(voice, generator_inputs.text(voice, 15)))
    for convolution in int8:
        step, zero = scale = known[convolution.name]
        assert step.shape == zero.shape == (convolution.weight.shape[1],)
        assert step.dtype == np.float32 and zero.dtype == np.uint8
        assert np.isfinite(step).all() and (step > 0).all()
        pieces = np.stack(inputs.pieces[convolution.name])
        exact = convolution.made(pieces, convolution.weight)
        power = np.square(exact - exact.mean(axis=1, keepdims=True)).sum()
        made = convolution.made(fake_quantised(pieces, scale), convolution.by(scale))
        assert 10 * np.log10(power / np.square(made - exact).sum()) > 20, convolution.name


def test_levels_and_ranges_are_rounded_and_clipped() -> None:
    scale = Scale(np.array([0.5, 2.0], np.float32), np.array([10, 0], np.uint8))
    values = np.array([[0, 0.24, 0.25, -0.26, -5.3, 200], [0, 0.9, 1, -4, 509.9, 600]], np.float32)
    left = fake_quantised(values, scale)
    assert left.tolist() == [[0.0, 0.0, 0.5, -0.5, -5.0, 122.5], [0.0, 0.0, 2.0, 0.0, 510.0, 510.0]]
    range_ = Range(np.array([-1.5, 0, -3], np.float32), np.array([2.5, 1, 0], np.float32))
    ends = np.stack([range_.low, range_.high], axis=1)
    fitting = range_.width / 255
    off = np.abs(fake_quantised(ends, scale_of(range_, fitting)) - ends)
    assert (off <= 0.51 * fitting[:, None]).all()
    half = scale_of(range_, fitting / 2)
    assert half.zero.tolist() == [64, 0, 255]
    assert fake_quantised(ends, half)[0].tolist() == pytest.approx([-64 * 2 / 255, 191 * 2 / 255], rel=1e-5)
    pieces = np.random.default_rng(5).random((4, 2, 100_000), np.float32) * 2 - 1
    pieces[:, 1] *= 0.1
    pieces[0, 1, 7] = 1.0
    widest = Range(pieces.min(axis=(0, 2)), pieces.max(axis=(0, 2)))
    found = least_error(pieces, widest)
    assert found.high[0] == widest.high[0] and found.low[0] == widest.low[0]
    assert found.high[1] < 0.8 and found.low[1] == widest.low[1]


def test_grid_beats_both_of_its_ends() -> None:
    random = np.random.default_rng(9)
    loud = np.exp(random.normal(0, 2, 32)).astype(np.float32)
    weight = (random.standard_normal((24, 32, 3)) / np.sqrt(loud)[:, None]).astype(np.float32)
    convolution = RoundedConvolution("some", weight, 1)
    pieces = random.standard_normal((6, 32, 200), np.float32) * loud[:, None]
    widest = Range(pieces.min(axis=(0, 2)), pieces.max(axis=(0, 2)))
    scale, error = best_scale(convolution, pieces, widest)
    assert error < 1e-3
    ends = widest.width / 255, np.full(32, widest.width.max() / 255, np.float32)
    exact = convolution.made(pieces, weight)
    found, *others = (
        np.linalg.norm(convolution.made(fake_quantised(pieces, each), convolution.by(each)) - exact)
        for each in (scale, *(scale_of(widest, step) for step in ends))
    )
    assert found < 0.9 * min(others)


def test_inputs_are_recorded_and_short_sentence_refused() -> None:
    random = np.random.default_rng(2)
    layer = Convolution(
        "one", random.random((4, 3, 5), np.float32), np.zeros(4, np.float32), 1, dilation=3, padding=6
    )
    values = random.random((3, 400), np.float32) + np.float32(1)
    inputs = InputRecorder(["one"])
    assert inputs(layer, values).shape == (4, 400)
    assert [piece.shape for piece in inputs.pieces["one"]] == 4 * [(3, 48 + 12)]
    inputs(layer, -values)
    assert np.array_equal(inputs.ranges["one"].low, -values.max(axis=1))
    assert np.array_equal(inputs.ranges["one"].high, values.max(axis=1))
    with pytest.raises(NotCalibrated, match="59 rows is too short to calibrate one"):
        inputs(layer, values[:, :59])
