"""Operations of LiteRT graphs against NumPy, for rows of several lengths."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kani.engines.kokoro.litert.model import Model
from kani.engines.kokoro.litert.packing.graph import LEVEL, Graph
from kani.engines.kokoro.network.onnx_model import Array, ModelFailed

RANDOM = np.random.default_rng(5)


def rows(count: int, channels: int) -> Array:
    return RANDOM.standard_normal((count, channels)).astype(np.float32)


def convolved(values: Array, weight: Array, dilation: int = 1) -> Array:
    """Convolution [T − reach, outputs] of values [T, inputs] with weight [outputs, inputs, taps]."""
    taps = weight.shape[2]
    count = len(values) - (taps - 1) * dilation
    parts = [values[tap * dilation : tap * dilation + count] @ weight[:, :, tap].T for tap in range(taps)]
    return np.sum(parts, axis=0, dtype=np.float32)


def test_rows_are_selected_stacked_and_split() -> None:
    graph = Graph()
    given = graph.input("given", 6)
    inner = graph.rows(given, 2, dropped=1)
    stacked = graph.stack(graph.rows(inner, 1), inner, graph.constant(np.arange(6.0)))
    model = Model(graph.finish(made=graph.split_rows(graph.select(stacked, 2, 4), 2)))
    for count in (5, 9, 5):
        values = rows(count, 6)
        kept = values[2:-1]
        expected = np.concatenate((kept[1:], kept, np.arange(6.0)[np.newaxis]))[:, 2:]
        np.testing.assert_array_equal(model.run({"given": values})["made"], expected.reshape(-1, 2))


def test_arithmetic_equals_numpy() -> None:
    graph = Graph()
    given, factor = graph.input("given", 4), graph.input("factor", 4, rows=1)
    mean = graph.mean_of_rows(given)
    turned = graph.cosine(graph.multiply(given, factor))
    made = graph.leaky(graph.subtract(graph.add(turned, given), mean), 0.2)
    model = Model(
        graph.finish(made=made, root=graph.inverse_root(graph.add(graph.multiply(mean, mean), mean)))
    )
    values, by = np.abs(rows(7, 4)) + 1, rows(1, 4)
    done = model.run({"given": values, "factor": by})
    plain = np.cos(values * by) + values - values.mean(axis=0)
    np.testing.assert_allclose(done["made"], np.where(plain < 0, 0.2 * plain, plain), atol=1e-5)
    average = values.mean(axis=0)
    np.testing.assert_allclose(done["root"][0], 1 / np.sqrt(average * average + average), rtol=1e-5)


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


def test_calls_at_once_have_interpreters_of_their_own() -> None:
    graph = Graph()
    given = graph.input("given", 64)
    made = graph.convolve_exactly(given, rows(64 * 64, 3).reshape(64, 64, 3), np.zeros(64, np.float32))
    model = Model(graph.finish(made=made))
    asked = [rows(100 + 10 * place, 64) for place in range(8)]
    expected = [model.run({"given": values})["made"] for values in asked]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda values: model.run({"given": values})["made"], asked * 3))
    for values, same in zip(expected * 3, found, strict=True):
        np.testing.assert_array_equal(values, same)


def test_wrong_input_fails_and_the_next_call_is_well() -> None:
    graph = Graph()
    given = graph.input("given", 4)
    model = Model(graph.finish(made=graph.add(given, graph.constant(np.ones(4)))))
    with pytest.raises(ModelFailed):
        model.run({"given": rows(3, 5)})
    values = rows(3, 4)
    np.testing.assert_array_equal(model.run({"given": values})["made"], values + 1)
