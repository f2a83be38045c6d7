"""The decoder part in int8: closer to float32 than the published graph, independent of the threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from engines.kokoro.int8.compatibility import check_operators, check_processor, saturates_pairs
from engines.kokoro.int8.convolution import use_one_core
from engines.kokoro.int8.curves import Int8Curves
from engines.kokoro.int8.features import Int8FeatureDecoder, Int8Features, LazySource
from engines.kokoro.int8.harmonic_source import HarmonicSource, harmonic_phase
from engines.kokoro.int8.kernels import add_scaled, leaky_levels, sums_and_extremes, upsample_depthwise
from engines.kokoro.int8.packing.weights import load_curve_weights, load_feature_weights
from engines.kokoro.int8.residual_blocks import ThreadPair
from engines.kokoro.network.cores import CorePool
from engines.kokoro.network.decoder import Decoder, DecoderUnavailable
from engines.kokoro.network.dequantize import dequantize
from engines.kokoro.network.graph_surgery import UnknownGraph
from engines.kokoro.network.norm_statistics import StatisticsTable
from engines.kokoro.network.onnx_decoder import OnnxGenerator, OnnxSource
from engines.kokoro.network.onnx_model import Array, Network, Stop, Stopped, encoder_inputs
from engines.kokoro.network.parts import LoadPart, NormAffine, PredictedProsody, SplitModel
from engines.kokoro.voices import Voices
from tests.support.kokoro import agreement_db, one_utterance

LEAK = np.float32(0.2)
ROWS, CHANNELS = 31, 18


def normal(*shape: int, draw: int = 0) -> Array:
    return np.random.default_rng(draw).standard_normal(shape).astype(np.float32)


def test_sums_and_extremes() -> None:
    values = normal(ROWS, CHANNELS)
    total, squares = np.empty((2, CHANNELS))
    least, most = np.empty((2, CHANNELS), np.float32)
    sums_and_extremes(values, total, squares, least, most)
    exact = values.astype(np.float64)
    assert np.allclose(total, exact.sum(axis=0), rtol=0, atol=1e-5)
    assert np.allclose(squares, np.square(exact).sum(axis=0), rtol=1e-6)
    assert np.array_equal(least, values.min(axis=0)) and np.array_equal(most, values.max(axis=0))


@pytest.mark.parametrize("slope", [LEAK, np.float32(1)])
def test_leaky_levels(slope: np.float32) -> None:
    values, per_step = normal(ROWS, CHANNELS), 300 * normal(CHANNELS, draw=1)
    shift = normal(CHANNELS, draw=2)
    levels = np.empty(values.shape, np.uint8)
    leaky_levels(values, per_step, shift, slope, np.float32(60), levels)
    linear = values.astype(np.float64) * per_step + shift
    exact = np.clip(np.where(linear > 0, linear, linear * slope) + 60, 0, 255)
    assert exact.min() == 0 and exact.max() == 255
    assert np.abs(levels - exact).max() <= 0.5 + 1e-3


def test_upsample_depthwise() -> None:
    values, scale, shift = normal(ROWS, CHANNELS), normal(CHANNELS, draw=1), normal(CHANNELS, draw=2)
    weight, bias = normal(3, CHANNELS, draw=3), normal(CHANNELS, draw=4)
    linear = values * scale + shift
    leaky = np.where(linear > 0, linear, linear * LEAK)
    expected = np.zeros((2 * ROWS + 1, CHANNELS), np.float32)
    for tap in range(3):
        # Output row 2 t − 1 + tap, of which the first is cut off.
        expected[tap : tap + 2 * ROWS : 2][:ROWS] += leaky * weight[tap]
    expected = expected[1:] + bias
    pooled = np.empty((2 * ROWS, CHANNELS), np.float32)
    upsample_depthwise(values, scale, shift, LEAK, weight, bias, 0, pooled[:14])
    upsample_depthwise(values, scale, shift, LEAK, weight, bias, 7, pooled[14:])
    assert np.allclose(pooled, expected, rtol=1e-5, atol=1e-5)


def test_add_scaled() -> None:
    values, others, shift = normal(10, CHANNELS), normal(9, CHANNELS, draw=1), normal(CHANNELS, draw=2)
    out = np.full((10, CHANNELS + 3), 7, np.float32)
    add_scaled(values, np.float32(0.5), others, np.float32(2), shift, 2, 6, out)
    expected = 0.5 * values + 2 * np.repeat(others, 2, axis=0)[6:16] + shift
    assert np.allclose(out[:, :CHANNELS], expected, rtol=1e-5, atol=1e-5)
    assert (out[:, CHANNELS:] == 7).all()


@pytest.mark.parametrize("rows", [1, 2, 7, 30])
def test_rows_are_split_in_pairs(rows: int) -> None:
    with ThreadPoolExecutor(1) as helper:
        made: list[tuple[int, int]] = []
        ThreadPair(helper).split_rows(rows, lambda first, end: made.append((first, end)))
    assert sorted(row for first, end in made for row in range(first, end)) == list(range(rows))
    assert all(first % 2 == 0 for first, _ in made)


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A sentence with its predicted prosody."""

    part: LoadPart
    cache: Path
    model: SplitModel
    symbols: str
    prosody: PredictedProsody
    style: Array

    def features(self, cores: int) -> Int8Features:
        with load_feature_weights(self.part("decoder"), self.cache, pairs=saturates_pairs()) as packed:
            return Int8Features(packed, CorePool(cores, use_one_core))

    def curves(self, cores: int) -> Int8Curves:
        with load_curve_weights(self.part("curves"), self.cache, pairs=saturates_pairs()) as packed:
            return Int8Curves(packed, CorePool(cores, use_one_core))

    @property
    def given(self) -> dict[str, Array]:
        prosody = self.prosody
        return {"asr": prosody.asr, "pitch": prosody.pitch, "energy": prosody.energy, "style": self.style}


@pytest.fixture(scope="module")
def sentence(part: LoadPart, cache: Path) -> Sentence:
    try:
        check_processor()
        check_operators(saturates_pairs())
    except DecoderUnavailable as unavailable:
        pytest.skip(str(unavailable))
    utterance = one_utterance("El barco azul salió del puerto muy temprano.", "es")
    style = Voices().style("em_alex", len(utterance.symbols))
    model = SplitModel(part, 2)
    prosody = model.predict_prosody(utterance.symbols, style, 1.0, Stop())
    return Sentence(part, cache, model, utterance.symbols, prosody, style)


@pytest.fixture(scope="module")
def alone(sentence: Sentence) -> Int8Features:
    return sentence.features(cores=1)


def by_graphs(sentence: Sentence, given: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    names = ("features", "phase", "gain", "bias")
    part = sentence.part("decoder")
    exact, known = (
        dict(zip(names, Network(graph, 2).run(given, names, Stop()), strict=True))
        for graph in (dequantize(part), part)
    )
    return exact, known


def test_features_are_closer_to_float32_than_published_graph(sentence: Sentence, alone: Int8Features) -> None:
    exact, known = by_graphs(sentence, sentence.given)
    features, gain, bias = alone.compute(**sentence.given, stop=Stop())
    assert features.shape == known["features"].shape
    own, graphs = (agreement_db(exact["features"], made) for made in (features, known["features"]))
    assert own > graphs + 1
    assert np.array_equal(harmonic_phase(sentence.prosody.pitch), known["phase"])
    assert np.array_equal(gain, known["gain"]) and np.array_equal(bias, known["bias"])


def test_features_do_not_depend_on_threads(sentence: Sentence, alone: Int8Features) -> None:
    shared = sentence.features(cores=2)
    first, again, together = (
        made.compute(**sentence.given, stop=Stop())[0] for made in (alone, alone, shared)
    )
    assert np.array_equal(first, again)
    assert np.array_equal(first, together)


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_shortest_utterances_are_computed(sentence: Sentence, frames: int) -> None:
    prosody = sentence.prosody
    given = {
        "asr": prosody.asr[:, :, 20 : 20 + frames],
        "pitch": prosody.pitch[:, 40 : 40 + 2 * frames],
        "energy": prosody.energy[:, 40 : 40 + 2 * frames],
        "style": sentence.style,
    }
    exact, _ = by_graphs(sentence, given)
    features, _, _ = sentence.features(cores=2).compute(**given, stop=Stop())
    assert features.shape == (1, 512, 2 * frames)
    assert agreement_db(exact["features"], features) >= 12


def test_utterance_keeps_its_decoder(sentence: Sentence, alone: Int8Features) -> None:
    model, stop = sentence.model, Stop()
    graphs = model.decoder
    begun = model.decode_features(sentence.prosody, sentence.style, stop)
    generator = OnnxGenerator(sentence.part("generator"), 1)
    fast = Int8FeatureDecoder(sentence.curves(1), alone, HarmonicSource())
    model.decoder = Decoder("fast", fast, generator, 1)
    later = model.decode_features(sentence.prosody, sentence.style, stop)
    assert begun.generator is graphs.generator and isinstance(begun.source, OnnxSource)
    assert later.generator is generator and isinstance(later.source, LazySource)
    model.decoder = graphs
    assert np.array_equal(later.features, alone.compute(**sentence.given, stop=stop)[0])
    assert agreement_db(begun.features, later.features) >= 20


def test_prosody_is_predicted_by_decoder_in_use(sentence: Sentence, alone: Int8Features) -> None:
    model, curves, stop = sentence.model, sentence.curves(1), Stop()
    pinned, graphs = model.with_pinned_decoder(), model.decoder
    fast = Int8FeatureDecoder(curves, alone, HarmonicSource())
    model.decoder = replace(graphs, feature_decoder=fast)
    fast_prosody, graphs_prosody = (
        each.predict_prosody(sentence.symbols, sentence.style, 1.0, stop) for each in (model, pinned)
    )
    model.decoder = graphs
    encoder = Network(sentence.part("encoder"), 2)
    (shared,) = encoder.run(encoder_inputs(sentence.symbols, sentence.style, 1.0), ("shared",), stop)
    assert np.array_equal(fast_prosody.pitch, curves.compute(shared, sentence.style, stop).pitch)
    assert np.array_equal(graphs_prosody.pitch, sentence.prosody.pitch)
    assert np.array_equal(fast_prosody.asr, graphs_prosody.asr)
    assert np.array_equal(fast_prosody.frames, graphs_prosody.frames)


def test_lazy_source_equals_onnx_source(sentence: Sentence) -> None:
    model, stop = sentence.model, Stop()
    voices = [voice.id for voice in Voices().all]
    begun = model.decode_features(sentence.prosody, sentence.style, stop)
    begun = replace(begun, generator=OnnxGenerator(dequantize(sentence.part("generator")), 2))
    norms = NormAffine.from_statistics(
        begun, StatisticsTable(voices).predict("em_alex", sentence.prosody, begun)
    )
    fast = replace(begun, source=LazySource(HarmonicSource(), sentence.prosody.pitch))
    known, lazy = (model.decode_window(features, norms, 20, 60, stop) for features in (begun, fast))
    assert agreement_db(known, lazy) >= 80


def test_stop_cancels_features(sentence: Sentence, alone: Int8Features) -> None:
    stop = Stop()
    stop.set()
    with pytest.raises(Stopped):
        alone.compute(**sentence.given, stop=stop)


def test_other_part_is_refused(sentence: Sentence) -> None:
    from engines.kokoro.int8.packing.features import pack_features

    with pytest.raises(UnknownGraph, match="no layer"):
        pack_features(sentence.part("source"), pairs=True)
