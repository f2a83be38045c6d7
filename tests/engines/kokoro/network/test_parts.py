"""The network's parts say what the published graph says, wherever an utterance is cut into windows."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.float_graph import dequantize
from kani.engines.kokoro.network.graph_surgery import PARTS, Surgery, UnknownGraph
from kani.engines.kokoro.network.norm_recorder import StatisticsRecorder
from kani.engines.kokoro.network.norm_statistics import DATA_FILE, StatisticsTable
from kani.engines.kokoro.network.onnx_decoder import CONTEXT_FRAMES, OnnxGenerator
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Stop
from kani.engines.kokoro.network.parts import Features, NormAffine, PredictedProsody, SplitModel
from kani.engines.kokoro.network.recorder_surgery import RecorderSurgery
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.voices import Voices
from tests.engines.kokoro.network.published_graph import WholeModel
from tests.support.kokoro import DATA, agreement_db, one_utterance, symbols_and_style
from tools.kokoro_data.sentences import SENTENCES

EDGE = 10
"""Samples at the start that the export's inverse STFT scales differently from the parts."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The int8 parts, and the ones that generate audio in float32."""

    int8: dict[str, bytes]
    float32: dict[str, bytes]


@pytest.fixture(scope="module")
def cut(published: bytes) -> Cut:
    surgery = RecorderSurgery(published)
    int8 = {name: bytes(getattr(surgery, name)()) for name in (*PARTS, "recorder")}
    return Cut(int8, int8 | {name: dequantize(int8[name]) for name in ("generator", "recorder")})


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance: ``audio`` is the recorder's, ``at_once`` the generator's in one window.

    ``norms`` are those that the recorder found.
    """

    model: SplitModel
    features: Features
    norms: NormAffine
    audio: Samples
    at_once: Samples

    def in_windows(self, edges: Sequence[int]) -> Samples:
        features = anew(self.features)
        bounds = [0, *sorted(set(edges) - {0, features.frames}), features.frames]
        return np.concatenate(
            [self.model.decode_window(features, self.norms, *bound, Stop()) for bound in pairwise(bounds)]
        )


def anew(features: Features) -> Features:
    return replace(features, source=copy(features.source))


@pytest.fixture(scope="module")
def spoken(cut: Cut) -> Spoken:
    model = SplitModel.on_onnxruntime(cut.float32.__getitem__, 2)
    symbols, style = symbols_and_style("Sí, claro que vamos.", "ef_dora", "es")
    features = model.decode_features(model.predict_prosody(symbols, style, 1.0, Stop()), style, Stop())
    audio, seen = StatisticsRecorder(cut.float32["recorder"], 2).record(anew(features), Stop())
    norms = NormAffine.from_statistics(features, seen)
    at_once = model.decode_window(anew(features), norms, 0, features.frames, Stop())
    return Spoken(model, features, norms, audio, at_once)


@pytest.mark.heard
def test_generator_with_recorded_statistics_equals_recorder(spoken: Spoken) -> None:
    assert agreement_db(spoken.audio, spoken.at_once) >= 100


@pytest.mark.heard
@settings(deadline=None, max_examples=8)
@given(cuts=st.lists(st.floats(0, 1), max_size=6))
@example(cuts=[0.01, 0.02, 0.99])
def test_samples_do_not_depend_on_windows(spoken: Spoken, cuts: list[float]) -> None:
    got = spoken.in_windows([round(cut * spoken.features.frames) for cut in cuts])
    assert agreement_db(spoken.at_once, got) >= 80
    assert agreement_db(spoken.audio, got) >= 80


@pytest.mark.heard
@pytest.mark.parametrize(("context", "exact"), [(CONTEXT_FRAMES, True), (CONTEXT_FRAMES - 1, False)])
def test_context_is_necessary_and_sufficient(
    spoken: Spoken, monkeypatch: pytest.MonkeyPatch, context: int, exact: bool
) -> None:
    monkeypatch.setattr(OnnxGenerator, "context", context)
    first, end = 20, 40
    got = spoken.model.decode_window(anew(spoken.features), spoken.norms, first, end, Stop())
    agreed = agreement_db(spoken.at_once[first * FRAME_SAMPLES : end * FRAME_SAMPLES], got)
    assert agreed >= 80 if exact else agreed < 60


@pytest.mark.heard
@pytest.mark.parametrize("text", ["Sí, claro que vamos.", "¿Dónde está la parada del tranvía?"])
def test_parts_equal_published_graph(published: bytes, cut: Cut, text: str) -> None:
    symbols, style = symbols_and_style(text, "ef_dora", "es")
    expected = WholeModel(published, 2).render(symbols, style, 1.0, Stop())
    model = SplitModel.on_onnxruntime(cut.int8.__getitem__, 2)
    prosody = model.predict_prosody(symbols, style, 1.0, Stop())
    assert np.array_equal(prosody.frames, expected.frames)
    features = model.decode_features(prosody, style, Stop())
    samples, _ = StatisticsRecorder(cut.int8["recorder"], 2).record(features, Stop())
    assert agreement_db(expected.samples[EDGE:], samples[EDGE:]) >= 100


@pytest.mark.heard
def test_other_graph_is_refused(cut: Cut) -> None:
    with pytest.raises(UnknownGraph, match="no ONNX model"):
        Surgery(b"not a model")
    with pytest.raises(UnknownGraph, match="no tensor"):
        Surgery(cut.int8["encoder"])


@pytest.mark.heard
def test_graph_with_missing_norm_is_refused(published: bytes) -> None:
    opened = onnx.load_model_from_string(published)
    norm = next(
        node
        for node in opened.graph.node
        if node.op_type == "Add" and node.name.endswith("generator/resblocks.0/adain1.0/Add_3")
    )
    norm.name = "renamed"
    with pytest.raises(UnknownGraph, match="47 norms"):
        Surgery(opened.SerializeToString())


@pytest.fixture(scope="module")
def voices() -> list[str]:
    return [voice.id for voice in Voices().all]


def parts_of(engine: KokoroEngine) -> SplitModel:
    assert isinstance(engine._synthesizer, WindowedSynthesizer)
    return engine._synthesizer.model


def predicted(model: SplitModel, voice: str, utterance: Utterance) -> tuple[PredictedProsody, Features]:
    style = Voices().style(voice, len(utterance.symbols))
    prosody = model.predict_prosody(utterance.symbols, style, 1.0, Stop())
    return prosody, model.decode_features(prosody, style, Stop())


@pytest.fixture(scope="module")
def recorder(published: bytes) -> StatisticsRecorder:
    return StatisticsRecorder(RecorderSurgery(published).recorder(), 2)


def test_regression_improves_on_voice_mean(
    engine: KokoroEngine, recorder: StatisticsRecorder, voices: list[str]
) -> None:
    statistics, model = StatisticsTable.shipped(voices), parts_of(engine)
    with np.load(DATA / DATA_FILE) as data:
        rows = {name: data[name].astype(np.float32) for name in ("mean", "log_variance")}
    row = voices.index("ef_dora")
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


def test_recording_reproduces_shipped_statistics(
    onnx_engine: KokoroEngine, recorder: StatisticsRecorder, voices: list[str]
) -> None:
    """On a quarter of the sentences: those of any other voice are three times as far off, or more."""
    model, voice = parts_of(onnx_engine), "em_alex"
    means, log_variances = [], []
    for text in SENTENCES["es"][::4]:
        _, features = predicted(model, voice, one_utterance(text, "es"))
        _, seen = recorder.record(features, Stop())
        means.append(seen.mean.ravel())
        log_variances.append(np.log(seen.variance.ravel() + 1e-5))
    mean, log_variance = np.mean(means, axis=0), np.mean(log_variances, axis=0)
    with np.load(DATA / DATA_FILE) as data:
        shipped_mean, shipped_log = (data[name][voices.index(voice)] for name in ("mean", "log_variance"))
    of_means = np.abs(mean - shipped_mean) / np.exp(log_variance / 2)
    of_logs = np.abs(log_variance - shipped_log)
    assert np.median(of_logs) <= 0.015 and of_logs.max() <= 0.25
    assert np.median(of_means) <= 0.01 and np.percentile(of_means, 99) <= 0.1 and of_means.max() <= 0.4
