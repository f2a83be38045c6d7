"""smart-turn: its file, Whisper's spectrogram for it, and what it hears."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from kani.core.errors import EngineUnavailable
from kani.runtime.turn_model import model as module
from kani.runtime.turn_model.model import (
    LICENCE_FILE,
    MODEL_FILE,
    ORIGIN_FILE,
    SAMPLE_RATE,
    WINDOW_S,
    SmartTurn,
    features,
)

FOLDER = Path(module.__file__).parent


def test_file_is_the_one_of_its_origin() -> None:
    origin = json.loads((FOLDER / ORIGIN_FILE).read_text(encoding="utf-8"))
    assert hashlib.sha256((FOLDER / MODEL_FILE).read_bytes()).hexdigest() == origin["sha256"]
    assert origin["licence"] == "BSD-2-Clause" and "pipecat-ai/1.14.0" in origin["origin"]
    licence = (FOLDER / LICENCE_FILE).read_text(encoding="utf-8")
    assert "BSD 2-Clause License" in licence and "Daily" in licence


@pytest.mark.parametrize("seconds", [0.5, WINDOW_S, 9.0])
def test_spectrogram_is_that_of_whispers_feature_extractor(seconds: float) -> None:
    from faster_whisper.feature_extractor import FeatureExtractor
    from transformers import WhisperFeatureExtractor

    length = round(WINDOW_S * SAMPLE_RATE)
    random = np.random.default_rng(3)
    samples = (0.1 * random.standard_normal(round(seconds * SAMPLE_RATE))).astype(np.float32)
    padded = np.concatenate([np.zeros(max(length - len(samples), 0), np.float32), samples[-length:]])
    judge = WhisperFeatureExtractor(chunk_length=round(WINDOW_S))
    expected = judge(
        padded,
        sampling_rate=SAMPLE_RATE,
        padding="max_length",
        max_length=length,
        truncation=True,
        do_normalize=True,
        return_tensors="np",
    ).input_features[0]
    found = features(samples, FeatureExtractor(chunk_length=round(WINDOW_S)))
    assert found.shape == (80, 800)
    assert found == pytest.approx(expected, abs=1e-4)


def test_broken_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / MODEL_FILE).write_bytes(b"no network")
    monkeypatch.setattr(module, "__file__", str(tmp_path / "model.py"))
    with pytest.raises(EngineUnavailable, match=f"restore kani/runtime/turn_model/{MODEL_FILE}"):
        SmartTurn().probability(np.zeros(SAMPLE_RATE, np.float32), SAMPLE_RATE)
