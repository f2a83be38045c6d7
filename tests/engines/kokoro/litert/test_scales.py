"""Scales of the int8 convolutions: those that ship, and their calibration."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kokoro_data.calibrate import CALIBRATION_SENTENCES, GeneratorInputs
from kani.engines.kokoro.litert.calibration.float_generator import FloatGenerator
from kani.engines.kokoro.litert.calibration.scales import (
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
from kani.engines.kokoro.litert.packing.generator import Scale, load_scales
from kani.engines.kokoro.litert.packing.graph_layers import read_layers
from kani.engines.kokoro.litert.packing.layers import Convolution
from kani.engines.kokoro.network.parts import LoadPart

NOT_CALIBRATED, SAYS = "am_santa", 15
"""A voice outside of the calibration, and the index of its sentence."""


@pytest.fixture(scope="module")
def int8(part: LoadPart) -> list[RoundedConvolution]:
    return list(convolutions(read_layers(part("generator"))))


def test_every_int8_convolution_has_scales(int8: list[RoundedConvolution]) -> None:
    known = load_scales()
    assert set(known) == {convolution.name for convolution in int8}
    for convolution in int8:
        step, zero = known[convolution.name]
        assert step.shape == zero.shape == (convolution.weight.shape[1],)
        assert step.dtype == np.float32 and zero.dtype == np.uint8
        assert np.isfinite(step).all() and (step > 0).all()


def test_uncalibrated_voice_is_within_20_db(part: LoadPart, int8: list[RoundedConvolution]) -> None:
    assert NOT_CALIBRATED not in CALIBRATION_SENTENCES
    inputs = InputRecorder([convolution.name for convolution in int8])
    generator_inputs = GeneratorInputs(part)
    reference = FloatGenerator(read_layers(part("generator")), inputs)
    reference.audio(generator_inputs.of(NOT_CALIBRATED, generator_inputs.text(NOT_CALIBRATED, SAYS)))
    known = load_scales()
    for convolution in int8:
        pieces, scale = np.stack(inputs.pieces[convolution.name]), known[convolution.name]
        exact = convolution.made(pieces, convolution.weight)
        power = np.square(exact - exact.mean(axis=1, keepdims=True)).sum()
        made = convolution.made(fake_quantised(pieces, scale), convolution.by(scale))
        assert 10 * np.log10(power / np.square(made - exact).sum()) > 20, convolution.name


def test_levels_are_rounded_and_clipped() -> None:
    scale = Scale(np.array([0.5, 2.0], np.float32), np.array([10, 0], np.uint8))
    values = np.array([[0, 0.24, 0.25, -0.26, -5.3, 200], [0, 0.9, 1, -4, 509.9, 600]], np.float32)
    left = fake_quantised(values, scale)
    assert left.tolist() == [[0.0, 0.0, 0.5, -0.5, -5.0, 122.5], [0.0, 0.0, 2.0, 0.0, 510.0, 510.0]]


def test_range_is_centred_in_levels() -> None:
    range_ = Range(np.array([-1.5, 0, -3], np.float32), np.array([2.5, 1, 0], np.float32))
    ends = np.stack([range_.low, range_.high], axis=1)
    fitting = range_.width / 255
    off = np.abs(fake_quantised(ends, scale_of(range_, fitting)) - ends)
    assert (off <= 0.51 * fitting[:, None]).all()
    half = scale_of(range_, fitting / 2)
    assert half.zero.tolist() == [64, 0, 255]
    assert fake_quantised(ends, half)[0].tolist() == pytest.approx([-64 * 2 / 255, 191 * 2 / 255], rel=1e-5)


def test_outlier_is_clipped() -> None:
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
    for step in (widest.width / 255, np.full(32, widest.width.max() / 255, np.float32)):
        other = scale_of(widest, step)
        exact = convolution.made(pieces, weight)
        found, others = (
            np.linalg.norm(convolution.made(fake_quantised(pieces, each), convolution.by(each)) - exact)
            for each in (scale, other)
        )
        assert found < 0.9 * others


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
