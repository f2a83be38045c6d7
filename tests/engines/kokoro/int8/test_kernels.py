"""Each kernel equals its plain numpy form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from engines.kokoro.int8 import kernels
from engines.kokoro.int8.convolution import Levels
from engines.kokoro.network.onnx_model import Array

CHANNELS = 24
ROWS = 53
LEAK = np.float32(0.1)


class Channels(NamedTuple):
    """Parameters of norm, snake and quantiser by channel."""

    scale: Array
    shift: Array
    alpha: Array
    inverse: Array
    per_step: Array
    zero: Array


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def channels() -> Channels:
    random = np.random.default_rng(1)
    alpha = random.uniform(0.1, 12, CHANNELS).astype(np.float32)
    return Channels(
        scale=normal(CHANNELS, seed=2) * 3,
        shift=normal(CHANNELS, seed=3),
        alpha=alpha,
        inverse=np.float32(1) / alpha,
        per_step=random.uniform(5, 40, CHANNELS).astype(np.float32),
        zero=random.integers(0, 256, CHANNELS).astype(np.float32),
    )


def snake(values: Array, channels: Channels) -> Any:
    known = [array.astype(np.float64) for array in channels]
    normed = values * known[0] + known[1]
    return normed + np.sin(known[2] * normed) ** 2 * known[3]


def levels_of(values: Any, channels: Channels) -> Any:
    return np.clip(values * channels.per_step.astype(np.float64) + channels.zero, 0, 255)


def undealt(phased: Any) -> Any:
    phases, length, channels = phased.shape
    return phased.transpose(1, 0, 2).reshape(phases * length, channels)


def dealt(rows: Any, phases: int) -> Any:
    length = -(-len(rows) // phases)
    room = np.full((length * phases, rows.shape[1]), np.nan, rows.dtype)
    room[: len(rows)] = rows
    return np.ascontiguousarray(room.reshape(length, phases, -1).transpose(1, 0, 2))


def assert_rounded(made: Any, exact: Any) -> None:
    assert np.abs(made - exact).max() <= 0.5 + 2e-3
    assert (np.floor(exact + 0.5) == made).mean() > 0.999


@pytest.mark.parametrize(("given", "phases", "left"), [(1, 1, 3), (1, 5, 25), (3, 1, 0), (5, 3, -4)])
def test_snake_levels(channels: Channels, given: int, phases: int, left: int) -> None:
    values = normal(ROWS, CHANNELS)
    length = (ROWS + 2 * max(left, 0)) // phases + 1
    levels: Levels = np.empty((phases, length, CHANNELS), np.uint8)
    kernels.snake_levels(dealt(values, given), *channels, levels, left, ROWS)
    expected = np.tile(channels.zero.astype(np.float64), (phases * length, 1))
    exact = levels_of(snake(values, channels), channels)[max(-left, 0) :][: phases * length - max(left, 0)]
    expected[max(left, 0) :][: len(exact)] = exact
    assert_rounded(undealt(levels), expected)


@pytest.mark.parametrize(("phases", "left", "in_place"), [(1, 5, False), (3, 15, True)])
def test_sum_snake_levels(channels: Channels, phases: int, left: int, in_place: bool) -> None:
    values, more = normal(ROWS, CHANNELS), normal(ROWS, CHANNELS, seed=9)
    both = values + more
    total = values if in_place else np.empty_like(values)
    levels: Levels = np.empty((phases, (ROWS + 2 * left) // phases + 1, CHANNELS), np.uint8)
    kernels.sum_snake_levels(values, more, total, *channels, levels, left)
    np.testing.assert_array_equal(total, both)
    again = np.empty_like(levels)
    kernels.snake_levels(both[None], *channels, again, left, ROWS)
    assert (levels == again).mean() > 0.999
    exact = levels_of(snake(both, channels), channels)
    assert_rounded(undealt(levels)[left : left + ROWS], exact)
    assert (undealt(levels)[:left] == channels.zero).all()


def test_snake_of_large_angles(channels: Channels) -> None:
    values = np.linspace(-10, 10, ROWS * CHANNELS, dtype=np.float32).reshape(ROWS, CHANNELS)
    known = channels._replace(
        scale=np.ones(CHANNELS, np.float32),
        shift=np.zeros(CHANNELS, np.float32),
        per_step=np.full(CHANNELS, 8, np.float32),
        zero=np.full(CHANNELS, 127, np.float32),
    )
    levels: Levels = np.empty((1, ROWS, CHANNELS), np.uint8)
    kernels.snake_levels(values[None], *known, levels, 0, ROWS)
    assert_rounded(levels[0], levels_of(snake(values, known), known))


def test_leaky_transposed_levels(channels: Channels) -> None:
    features = normal(CHANNELS, ROWS)
    levels: Levels = np.empty((1, ROWS + 3, CHANNELS), np.uint8)
    kernels.leaky_transposed_levels(features, LEAK, channels.per_step, channels.zero, levels, 2)
    rows = features.T.astype(np.float64)
    assert_rounded(levels[0, 2:-1], levels_of(np.where(rows > 0, rows, rows * LEAK), channels))
    assert (levels[0, [0, 1, -1]] == channels.zero).all()


def test_mean_leaky(channels: Channels) -> None:
    branches = [normal(ROWS, CHANNELS, seed=seed) for seed in range(6)]
    mean = np.sum(branches, axis=0, dtype=np.float64) / 3
    leaky = np.where(mean > 0, mean, mean * LEAK)
    levels: Levels = np.empty((1, ROWS + 2, CHANNELS), np.uint8)
    a, more_a, b, more_b, c, more_c = branches
    per_step, zero = channels.per_step, channels.zero
    kernels.mean_leaky_levels(a, more_a, b, more_b, c, more_c, LEAK, per_step, zero, levels, 1)
    assert_rounded(levels[0, 1:-1], levels_of(leaky, channels))
    assert (levels[0, [0, -1]] == zero).all()
    out = np.empty((ROWS + 6, CHANNELS), np.float32)
    kernels.mean_leaky(a, more_a, b, more_b, c, more_c, LEAK, out, 3)
    np.testing.assert_allclose(out[3:-3], leaky, atol=1e-6)
    assert not out[:3].any() and not out[-3:].any()


def test_add_two() -> None:
    values, one, other = (normal(ROWS, CHANNELS, seed=seed) for seed in range(3))
    expected = values + (one + other)
    kernels.add_two(values, one, other)
    np.testing.assert_allclose(values, expected, rtol=1e-6, atol=1e-6)


def test_overlap_add() -> None:
    spectra, basis = normal(ROWS, 22), normal(22, 20)
    samples = np.full(5 * (ROWS - 1) + 20, np.nan, np.float32)
    kernels.overlap_add(spectra, basis, samples)
    magnitude, phase = np.exp(spectra[:, :11].astype(np.float64)), np.sin(spectra[:, 11:].astype(np.float64))
    windows = np.hstack((magnitude * np.cos(phase), magnitude * np.sin(phase))) @ basis
    expected = np.zeros(len(samples))
    for row, window in enumerate(windows):
        expected[5 * row : 5 * row + 20] += window
    np.testing.assert_allclose(samples, expected, rtol=1e-4, atol=1e-4)
