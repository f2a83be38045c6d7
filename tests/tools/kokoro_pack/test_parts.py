"""The network's parts say what the published graph says, wherever an utterance is cut into windows."""

from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.norm_statistics import DATA_FILE, StatisticsTable
from kani.engines.kokoro.network.onnx_model import (
    FRAME_SAMPLES,
    Array,
    Network,
    Stop,
    encoder_inputs,
    frame_counts,
)
from kani.engines.kokoro.network.parts import Features, NormAffine, PredictedProsody, SplitModel
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.voices import Voices
from tests.support.kokoro import DATA, agreement_db, one_utterance, symbols_and_style
from tools.kokoro_data.sentences import SENTENCES
from tools.kokoro_pack.float_graph import dequantize
from tools.kokoro_pack.graph_surgery import PARTS, Surgery, UnknownGraph
from tools.kokoro_pack.onnx_generator import CONTEXT_FRAMES, OnnxGenerator, on_onnxruntime
from tools.kokoro_pack.statistics import StatisticsRecorder

EDGE = 10
"""Samples at the start that the export's inverse STFT scales differently from the parts."""


@pytest.fixture(scope="module")
def int8(published: bytes) -> dict[str, bytes]:
    surgery = Surgery(published)
    return {name: bytes(getattr(surgery, name)()) for name in (*PARTS, "recorder")}


def anew(features: Features) -> Features:
    return features._replace(source=copy(features.source))


@dataclass(frozen=True)
class Spoken:
    """An utterance: ``audio`` is the recorder's, with the ``norms`` that it found."""

    model: SplitModel
    features: Features
    norms: NormAffine
    audio: Samples

    def window(self, first: int, end: int) -> Samples:
        return self.model.decode_window(anew(self.features), self.norms, first, end, Stop())

    @cached_property
    def at_once(self) -> Samples:
        return self.window(0, self.features.frames)


@pytest.fixture(scope="module")
def spoken(int8: dict[str, bytes]) -> Spoken:
    """By parts that generate audio in float32."""
    parts = int8 | {name: dequantize(int8[name]) for name in ("generator", "recorder")}
    model = on_onnxruntime(parts.__getitem__, 2)
    symbols, style = symbols_and_style("Sí, claro que vamos.", "ef_dora", "es")
    features = model.decode_features(model.predict_prosody(symbols, style, 1.0, Stop()), style, Stop())
    audio, seen = StatisticsRecorder(parts["recorder"], 2).record(anew(features), Stop())
    return Spoken(model, features, NormAffine.from_statistics(features, seen), audio)


@pytest.mark.heard
@settings(max_examples=8)
@given(cuts=st.lists(st.floats(0, 1), max_size=6))
@example(cuts=[0.01, 0.02, 0.99])
def test_samples_equal_the_recorders_in_any_windows(spoken: Spoken, cuts: list[float]) -> None:
    assert agreement_db(spoken.audio, spoken.at_once) >= 100
    frames = spoken.features.frames
    edges = sorted({0, frames, *(round(cut * frames) for cut in cuts)})
    # One source for all windows, as in speech.
    features = anew(spoken.features)
    made = [spoken.model.decode_window(features, spoken.norms, *bound, Stop()) for bound in pairwise(edges)]
    for expected in (spoken.at_once, spoken.audio):
        assert agreement_db(expected, np.concatenate(made)) >= 80


@pytest.mark.heard
@pytest.mark.parametrize(("context", "exact"), [(CONTEXT_FRAMES, True), (CONTEXT_FRAMES - 1, False)])
def test_context_suffices(spoken: Spoken, monkeypatch: pytest.MonkeyPatch, context: int, exact: bool) -> None:
    first, end = 20, 40
    expected = spoken.at_once[first * FRAME_SAMPLES : end * FRAME_SAMPLES]
    monkeypatch.setattr(OnnxGenerator, "context", context)
    agreed = agreement_db(expected, spoken.window(first, end))
    assert agreed >= 80 if exact else agreed < 60


@pytest.mark.heard
@pytest.mark.parametrize("text", ["Sí, claro que vamos.", "¿Dónde está la parada del tranvía?"])
def test_parts_equal_published_graph(published: bytes, int8: dict[str, bytes], text: str) -> None:
    symbols, style = symbols_and_style(text, "ef_dora", "es")
    durations = "/encoder/Clip_output_0"
    whole = onnx.load_model_from_string(published)
    whole.graph.output.append(onnx.helper.make_tensor_value_info(durations, onnx.TensorProto.FLOAT, None))
    network = Network(whole.SerializeToString(), 2)
    expected, frames = network.run(encoder_inputs(symbols, style, 1.0), ("audio", durations), Stop())
    model = on_onnxruntime(int8.__getitem__, 2)
    prosody = model.predict_prosody(symbols, style, 1.0, Stop())
    assert np.array_equal(prosody.frames, frame_counts(frames))
    features = model.decode_features(prosody, style, Stop())
    samples, _ = StatisticsRecorder(int8["recorder"], 2).record(features, Stop())
    assert agreement_db(np.ravel(expected)[EDGE:], samples[EDGE:]) >= 100


@pytest.mark.heard
def test_other_graph_or_missing_norm_is_refused(published: bytes, int8: dict[str, bytes]) -> None:
    opened = onnx.load_model_from_string(published)
    name = "generator/resblocks.0/adain1.0/Add_3"
    (norm,) = (node for node in opened.graph.node if node.op_type == "Add" and node.name.endswith(name))
    norm.name = "renamed"
    for graph, reason in (
        (b"not a model", "no ONNX model"),
        (int8["encoder"], "no tensor"),
        (opened.SerializeToString(), "47 norms"),
    ):
        with pytest.raises(UnknownGraph, match=reason):
            Surgery(graph)


VOICE_IDS = [voice.id for voice in Voices().all]


def predicted(model: SplitModel, voice: str, utterance: Utterance) -> tuple[PredictedProsody, Features]:
    style = Voices().style(voice, len(utterance.symbols))
    prosody = model.predict_prosody(utterance.symbols, style, 1.0, Stop())
    return prosody, model.decode_features(prosody, style, Stop())


@pytest.fixture(scope="module")
def recorder(published: bytes) -> StatisticsRecorder:
    return StatisticsRecorder(Surgery(published).recorder(), 2)


def test_regression_improves_on_voice_mean(engine: KokoroEngine, recorder: StatisticsRecorder) -> None:
    statistics, model = StatisticsTable.shipped(VOICE_IDS), engine._synthesizer.model
    with np.load(DATA / DATA_FILE) as data:
        rows = {name: data[name].astype(np.float32) for name in ("mean", "log_variance")}
    row = VOICE_IDS.index("ef_dora")
    utterance = one_utterance("El barco azul salió del puerto muy temprano", "es")
    prosody, features = predicted(model, "ef_dora", utterance)
    _, seen = recorder.record(features, Stop())
    expected = statistics.predict("ef_dora", prosody, features)

    def error(mean: Array, log_variance: Array) -> tuple[float, float]:
        deviation = np.sqrt(seen.variance.ravel() + 1e-5)
        return (
            float((np.abs(mean - seen.mean.ravel()) / deviation).mean()),
            float(np.abs(log_variance - np.log(seen.variance.ravel() + 1e-5)).mean()),
        )

    foretold = error(expected.mean.ravel(), np.log(expected.variance.ravel()))
    voice_alone = error(rows["mean"][row], rows["log_variance"][row])
    assert foretold[0] < voice_alone[0] < 0.3
    assert foretold[1] < voice_alone[1] < 0.5


def test_recording_gives_shipped_statistics(onnx_engine: KokoroEngine, recorder: StatisticsRecorder) -> None:
    """On a quarter of the sentences: those of any other voice are three times as far off, or more."""
    model, voice = onnx_engine._synthesizer.model, "em_alex"
    means, log_variances = [], []
    for text in SENTENCES["es"][::4]:
        _, features = predicted(model, voice, one_utterance(text, "es"))
        _, seen = recorder.record(features, Stop())
        means.append(seen.mean.ravel())
        log_variances.append(np.log(seen.variance.ravel() + 1e-5))
    mean, log_variance = np.mean(means, axis=0), np.mean(log_variances, axis=0)
    with np.load(DATA / DATA_FILE) as data:
        shipped_mean, shipped_log = (data[name][VOICE_IDS.index(voice)] for name in ("mean", "log_variance"))
    of_means = np.abs(mean - shipped_mean) / np.exp(log_variance / 2)
    of_logs = np.abs(log_variance - shipped_log)
    assert np.median(of_logs) <= 0.015 and of_logs.max() <= 0.25
    assert np.median(of_means) <= 0.01 and np.percentile(of_means, 99) <= 0.1 and of_means.max() <= 0.4
