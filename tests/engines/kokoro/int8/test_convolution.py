"""Convolutions of levels: their sums, and the time of those of one tap."""

from __future__ import annotations

import time

import numpy as np
import pytest

from engines.kokoro.int8.convolution import MOST_ROWS_1_TAP, Convolution, Levels

INPUTS, OUTPUTS = 1090, 512


def convolution(taps: int, inputs: int = INPUTS) -> tuple[Convolution, Levels]:
    """A convolution with the scale 1, and its weight."""
    weight = np.random.default_rng(taps).integers(-127, 128, (OUTPUTS, inputs, taps), np.int8)
    return Convolution(weight, np.ones(OUTPUTS, np.float32), np.zeros(OUTPUTS, np.float32)), weight


def levels(rows: int, inputs: int = INPUTS, phases: int = 1) -> Levels:
    return np.random.default_rng(rows).integers(0, 256, (phases, rows, inputs), np.uint8)


@pytest.mark.parametrize("rows", [1, MOST_ROWS_1_TAP, MOST_ROWS_1_TAP + 1, 64, 300])
@pytest.mark.parametrize(("taps", "phases"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_sums_are_exact(rows: int, taps: int, phases: int) -> None:
    made, weight = convolution(taps, inputs=64)
    given = levels(rows + taps - 1, inputs=64, phases=phases)
    windows = np.lib.stride_tricks.sliding_window_view(given.astype(np.int64), taps, axis=1)
    expected = np.einsum("dtik,oik->dto", windows, weight.astype(np.int64))
    assert np.array_equal(made(given), expected.astype(np.float32))


def test_one_tap_takes_no_longer_than_three() -> None:
    """By oneDNN's other order of the weight it takes fifty times as long."""
    least = {}
    for taps in (1, 3):
        made, _ = convolution(taps)
        given, took = levels(100 + taps - 1), []
        for _ in range(7):
            begun = time.thread_time()
            made(given)
            took.append(time.thread_time() - begun)
        least[taps] = min(took)
    assert least[1] < 3 * least[3]
