"""Prediction of the norms' statistics."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kokoro_data.sentences import SENTENCES
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.norm_recorder import StatisticsRecorder
from kani.engines.kokoro.network.norm_statistics import DATA_FILE, StatisticsTable
from kani.engines.kokoro.network.onnx_model import Array, Stop
from kani.engines.kokoro.network.parts import Features, PredictedProsody, SplitModel
from kani.engines.kokoro.network.recorder_surgery import RecorderSurgery
from kani.engines.kokoro.synthesizer import WindowedSynthesizer
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.voices import Voices
from tests.support.kokoro import DATA, one_utterance


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
    prosody, features = predicted(
        model, "ef_dora", one_utterance("El barco azul salió del puerto muy temprano", "es")
    )
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
