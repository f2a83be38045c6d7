"""Pitch and energy in int8: those of the published graph, independent of the threads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from engines.kokoro.int8.compatibility import check_operators, check_processor, saturates_pairs
from engines.kokoro.int8.convolution import use_one_core
from engines.kokoro.int8.curves import Int8Curves
from engines.kokoro.int8.packing.weights import MAX_PAIR_SUM, load_curve_weights
from engines.kokoro.network.cores import CorePool
from engines.kokoro.network.decoder import Curves, DecoderUnavailable
from engines.kokoro.network.graph_surgery import UnknownGraph
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped, encoder_inputs
from engines.kokoro.network.parts import MIN_VOICED_HZ, LoadPart
from tests.support.kokoro import symbols_and_style

SENTENCES = (
    ("El barco azul salió del puerto muy temprano.", "em_alex", "es"),
    ("Nobody knows why the old bridge was painted green.", "af_heart", "en"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """The input of both curves for a sentence, and the published graph's curves."""

    shared: Array
    style: Array
    expected: Curves


@pytest.fixture(scope="module")
def graph(part: LoadPart) -> Network:
    return Network(part("curves"), 2)


def expected(graph: Network, shared: Array, style: Array) -> Curves:
    return Curves(*graph.run({"shared": shared, "style": style}, ("pitch", "energy"), Stop()))


@pytest.fixture(scope="module")
def given(part: LoadPart, graph: Network) -> list[Given]:
    try:
        check_processor()
        check_operators(saturates_pairs())
    except DecoderUnavailable as unavailable:
        pytest.skip(str(unavailable))
    encoder = Network(part("encoder"), 2)
    found = []
    for sentence in SENTENCES:
        symbols, style = symbols_and_style(*sentence)
        (shared,) = encoder.run(encoder_inputs(symbols, style, 1.0), ("shared",), Stop())
        found.append(Given(shared, style, expected(graph, shared, style)))
    return found


def load(part: LoadPart, cache: Path, cores: int, *, pairs: bool) -> Int8Curves:
    with load_curve_weights(part("curves"), cache, pairs=pairs) as packed:
        return Int8Curves(packed, CorePool(cores, use_one_core))


@pytest.fixture(scope="module")
def alone(given: list[Given], part: LoadPart, cache: Path) -> Int8Curves:
    return load(part, cache, 1, pairs=saturates_pairs())


def cents_apart(one: Array, other: Array) -> Array:
    voiced = (one > MIN_VOICED_HZ) & (other > MIN_VOICED_HZ)
    return np.asarray(1200 * np.abs(np.log2(one[voiced] / other[voiced])), np.float32)


def test_curves_are_those_of_published_graph(given: list[Given], alone: Int8Curves) -> None:
    for one in given:
        pitch, energy = alone.compute(one.shared, one.style, Stop())
        assert pitch.shape == energy.shape == (1, 2 * len(one.shared))
        cents = cents_apart(one.expected.pitch, pitch)
        # Without VNNI some weights are rounded again.
        assert np.median(cents) <= 2 and np.percentile(cents, 95) <= 10
        apart = np.abs(energy - one.expected.energy) / one.expected.energy.std()
        assert np.median(apart) <= 0.01 and apart.max() <= 0.1


def test_curves_do_not_depend_on_threads(
    given: list[Given], alone: Int8Curves, part: LoadPart, cache: Path
) -> None:
    shared = load(part, cache, 2, pairs=saturates_pairs())
    one = given[0]
    first, *others = (made.compute(one.shared, one.style, Stop()) for made in (alone, alone, shared))
    for other in others:
        assert np.array_equal(first.pitch, other.pitch) and np.array_equal(first.energy, other.energy)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_shortest_utterances_are_computed(
    given: list[Given], alone: Int8Curves, graph: Network, frames: int
) -> None:
    few = replace(given[0], shared=given[0].shared[20 : 20 + frames])
    pitch, energy = alone.compute(few.shared, few.style, Stop())
    known = expected(graph, few.shared, few.style)
    assert pitch.shape == energy.shape == (1, 2 * frames)
    # An instance norm over so few frames magnifies what differs in rounding.
    assert np.abs(pitch - known.pitch).max() <= 8
    assert np.abs(energy - known.energy).max() <= 0.5


def test_weights_are_published_graphs_unless_they_saturate(part: LoadPart) -> None:
    from engines.kokoro.int8.packing.curves import pack_curves

    exact, narrow = (pack_curves(part("curves"), pairs) for pairs in (False, True))
    kept = []
    for name in (name.removesuffix(".levels") for name in exact if name.endswith(".levels")):
        levels = narrow[f"{name}.levels"].astype(np.int16)
        assert (np.abs(levels[:, 0::2]) + np.abs(levels[:, 1::2])).max() <= MAX_PAIR_SUM
        kept.append((levels == exact[f"{name}.levels"]).all(axis=(1, 2)))
        known, made = (
            packed[f"{name}.levels"] * packed[f"{name}.scale"][:, None, None] for packed in (exact, narrow)
        )
        assert np.abs(made - known).max() <= 0.02 * np.abs(known).max()
    assert np.concatenate(kept).mean() >= 0.9


def test_stop_cancels_curves(given: list[Given], alone: Int8Curves) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        alone.compute(given[0].shared, given[0].style, stop)


def test_other_part_is_refused(part: LoadPart) -> None:
    from engines.kokoro.int8.packing.curves import pack_curves

    with pytest.raises(UnknownGraph, match="in the curves"):
        pack_curves(part("source"), pairs=True)
