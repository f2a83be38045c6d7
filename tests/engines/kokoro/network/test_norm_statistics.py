"""What the norms are taken to see of a voice: the data that ships, and voices that do not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from engines import weights
from engines.espeak.client import EspeakClient
from engines.kokoro.engine import KokoroEngine
from engines.kokoro.network import norm_statistics as module
from engines.kokoro.network.norm_statistics import DATA_FILE, ORIGIN_FILE, StatisticsTable
from engines.kokoro.network.onnx_model import Array, Stop
from engines.kokoro.network.parts import Features, NormStatistics, PredictedProsody, SplitModel
from engines.kokoro.offline.sentences import SENTENCES
from engines.kokoro.synthesizer import WindowedSynthesizer
from engines.kokoro.text.espeak_ipa import phonemizer_for
from engines.kokoro.text.phonemes import Utterance, split_utterances
from engines.kokoro.voices import INDEX_FILE, Voices
from engines.kokoro.windows import FIRST_WINDOW_FRAMES
from speech.errors import EngineUnavailable
from speech.types import Segment

FOLDER = Path(module.__file__).parents[1] / "data"
CHANNELS = 9216
"""Of all norms together."""


@pytest.fixture(scope="module")
def voices() -> list[str]:
    return [voice.id for voice in Voices().all]


def uttered(text: str, language: str) -> Utterance:
    say = phonemizer_for(EspeakClient.shared(), language)
    assert say is not None
    (utterance,) = split_utterances(text, say, ending=".")
    return utterance


def parts_of(engine: KokoroEngine) -> SplitModel:
    assert isinstance(engine._synthesizer, WindowedSynthesizer)
    return engine._synthesizer._model


def foreseen(model: SplitModel, voice: str, utterance: Utterance) -> tuple[PredictedProsody, Features]:
    style = Voices().style(voice, len(utterance.symbols))
    prosody = model.predict_prosody(utterance.symbols, style, 1.0, Stop())
    return prosody, model.decode_features(prosody, style, Stop())


def test_the_data_is_what_its_origin_says(voices: list[str]) -> None:
    origin = json.loads((FOLDER / ORIGIN_FILE).read_text(encoding="utf-8"))
    with np.load(FOLDER / DATA_FILE) as data:
        arrays = {name: data[name] for name in data.files}
    assert (
        hashlib.sha256(b"".join(array.tobytes() for array in arrays.values())).hexdigest() == origin["sha256"]
    )
    index = json.loads((FOLDER / INDEX_FILE).read_text(encoding="utf-8"))
    assert origin["voices_sha256"] == index["sha256"]
    assert origin["model_sha256"] == weights.KOKORO.sha256
    assert origin["sentences_sha256"] == hashlib.sha256(json.dumps(SENTENCES).encode()).hexdigest()
    assert arrays["mean"].shape == arrays["log_variance"].shape == (len(voices), CHANNELS)
    assert arrays["weights"].shape[1] == 2 * CHANNELS
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert (FOLDER / DATA_FILE).stat().st_size < 4_000_000


def test_data_of_other_voices_is_refused_with_the_cure(voices: list[str]) -> None:
    with pytest.raises(EngineUnavailable, match=r"statistics\.npz and voices\.json do not belong together"):
        StatisticsTable(voices[:-1])


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 broken", b"no archive"])
def test_broken_data_is_refused_with_the_cure(
    voices: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / DATA_FILE).write_bytes(content)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "network" / "module.py"))
    with pytest.raises(EngineUnavailable, match=r"missing or broken.*statistics\.npz"):
        StatisticsTable(voices)


def test_a_sentence_is_foreseen_better_than_by_its_voice_alone(
    engine: KokoroEngine, voices: list[str]
) -> None:
    statistics, model = StatisticsTable(voices), parts_of(engine)
    with np.load(FOLDER / DATA_FILE) as data:
        rows = {name: data[name].astype(np.float32) for name in ("mean", "log_variance")}
    row = voices.index("ef_dora")
    prosody, features = foreseen(
        model, "ef_dora", uttered("El barco azul salió del puerto muy temprano", "es")
    )
    _, seen = model.record(features, Stop())
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


@pytest.mark.slow
def test_recording_again_gives_what_ships(onnx_engine: KokoroEngine, voices: list[str]) -> None:
    model, voice = parts_of(onnx_engine), "em_alex"
    means, log_variances = [], []
    for text in SENTENCES["es"]:
        _, features = foreseen(model, voice, uttered(text, "es"))
        _, seen = model.record(features, Stop())
        means.append(seen.mean.ravel())
        log_variances.append(np.log(seen.variance.ravel() + 1e-5))
    mean, log_variance = np.mean(means, axis=0), np.mean(log_variances, axis=0)
    with np.load(FOLDER / DATA_FILE) as data:
        shipped_mean, shipped_log = (data[name][voices.index(voice)] for name in ("mean", "log_variance"))
    of_means = np.abs(mean - shipped_mean) / np.exp(log_variance / 2)
    of_logs = np.abs(log_variance - shipped_log)
    assert np.median(of_logs) <= 0.0011 and of_logs.max() <= 0.1
    assert np.median(of_means) <= 0.001 and np.percentile(of_means, 99) <= 0.03 and of_means.max() <= 0.15


def test_a_voice_without_statistics_is_recorded_at_its_first_utterance(
    engine: KokoroEngine, voices: list[str]
) -> None:
    model = parts_of(engine)
    statistics = StatisticsTable(voices)
    del statistics._shipped["ef_dora"]
    speaker = WindowedSynthesizer(model, Voices(), statistics)
    utterance = uttered("El barco azul salió del puerto muy temprano", "es")
    segment = Segment("", "ef_dora", "es")
    assert not statistics.has("ef_dora")
    (whole,) = speaker.synthesize(utterance, segment, Stop())
    assert statistics.has("ef_dora")
    pieces = list(speaker.synthesize(utterance, segment, Stop()))
    assert len(pieces) > 2
    assert len(pieces[0].samples) < FIRST_WINDOW_FRAMES * 600
    windows = np.concatenate([piece.samples for piece in pieces])
    assert len(windows) == pytest.approx(len(whole.samples), abs=240)
    assert [word.word for piece in pieces for word in piece.words] == [word.word for word in whole.words]
    # Of the very sentence that was recorded, what is expected is what was seen.
    prosody, features = foreseen(model, "ef_dora", utterance)
    _, seen = model.record(features, Stop())
    expected = statistics.predict("ef_dora", prosody, features)
    np.testing.assert_allclose(expected.mean, seen.mean, rtol=1e-3, atol=1e-4)


def test_of_64_voices_the_recordings_are_kept(engine: KokoroEngine, voices: list[str]) -> None:
    statistics = StatisticsTable(voices)
    prosody, features = foreseen(parts_of(engine), "ef_dora", uttered("Hola", "es"))
    seen = NormStatistics(*np.ones((2, 1, CHANNELS, 1), np.float32))
    for number in range(66):
        statistics.record(f"custom:{number}", prosody, features, seen, level=0.01)
    known = [number for number in range(66) if statistics.has(f"custom:{number}")]
    assert known == list(range(2, 66))
    assert all(statistics.has(voice) for voice in voices)
    with pytest.raises(KeyError):
        statistics.predict("custom:0", prosody, features)
