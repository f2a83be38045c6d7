"""The student's files, and its two graphs."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from kani.core.types import Prosody
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, Stop, Stopped
from kani.engines.kokoro.pitch_control import apply_pitch
from kani.engines.kokoro.student.files import (
    DECODER,
    ENGLISH,
    LICENCE_FILE,
    NOTICE_FILE,
    ORIGIN_FILE,
    PROSODY,
    SHIPPED,
    StudentFiles,
)
from kani.engines.kokoro.student.model import StudentModel
from tests.support.kokoro import agreement_db

SYMBOLS = "ðə bˈeɪkɚɹ ɑːn ˌaʊɚ skwˈɛɹ ˈoʊpənz hɪz ʃˈɑːp lˈɔŋ bᵻfˌoːɹ ðə sˈʌn."


@pytest.fixture(scope="module")
def model() -> StudentModel:
    return StudentModel(1, StudentFiles.read(ENGLISH))


ORIGINS = {"af_heart": "hibari-tts/0.2.1", "ef_dora": "began as the student of af_heart"}
"""Source that the origin of each student that ships names."""


@pytest.mark.parametrize("voice", ORIGINS)
def test_files_match_their_origin_and_bring_their_licence(voice: str) -> None:
    folder = SHIPPED / voice
    origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    assert ORIGINS[voice] in origin["origin"] and origin["voice"] == voice
    assert origin["licence"] == "Apache-2.0"
    for name in (PROSODY, DECODER):
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == origin["sha256"][name]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 9_000_000
    assert "Apache License" in (folder / LICENCE_FILE).read_text(encoding="utf-8")
    assert "Kokoro-82M" in (folder / NOTICE_FILE).read_text(encoding="utf-8")


def test_no_other_student_ships() -> None:
    assert {folder.name for folder in SHIPPED.iterdir()} == set(ORIGINS)


def test_samples_are_the_frames_that_durations_count(model: StudentModel) -> None:
    prosody = model.predict(SYMBOLS, 1.0, Stop())
    frames = int(prosody.frames.sum())
    assert len(prosody.frames) == len(SYMBOLS) + 2 and prosody.frames.min() >= 1
    assert prosody.pitch.shape == prosody.energy.shape == (1, 2 * frames)
    assert len(model.decode(prosody, 0, frames, Stop())) == frames * FRAME_SAMPLES
    slower = model.predict(SYMBOLS, 0.8, Stop())
    assert slower.frames.sum() / frames == pytest.approx(1 / 0.8, rel=0.05)


def test_part_is_decoded_as_in_the_whole(model: StudentModel) -> None:
    """Except for the scales of the activations, which are a call's own."""
    prosody = model.predict(SYMBOLS, 1.0, Stop())
    frames = int(prosody.frames.sum())
    whole = model.decode(prosody, 0, frames, Stop())
    first, end = frames // 3, 2 * frames // 3
    part = model.decode(prosody, first, end, Stop())
    assert len(part) == (end - first) * FRAME_SAMPLES
    assert agreement_db(whole[first * FRAME_SAMPLES : end * FRAME_SAMPLES], part) > 20


def test_same_text_gives_the_same_samples(model: StudentModel) -> None:
    prosody = model.predict(SYMBOLS, 1.0, Stop())
    both = [model.decode(prosody, 4, 40, Stop()) for _ in range(2)]
    assert np.array_equal(*both)


def test_pitch_is_changed_between_the_halves(model: StudentModel) -> None:
    plain = model.predict(SYMBOLS, 1.0, Stop())
    assert plain.log_f0 == pytest.approx(model.facts.log_f0, abs=0.2)
    higher = apply_pitch(plain, Prosody(pitch=4.0), model.facts.log_f0)
    frames = int(plain.frames.sum())
    centroids = [_harmonic_period(model.decode(one, 0, frames, Stop())) for one in (plain, higher)]
    assert 12 * np.log2(centroids[0] / centroids[1]) == pytest.approx(4.0, abs=1.0)


def _harmonic_period(samples: np.ndarray) -> float:
    """Median lag of the highest autocorrelation, over frames of 50 ms that are periodic."""
    lags = []
    for frame in samples[: len(samples) // 1200 * 1200].reshape(-1, 1200):
        correlation = np.correlate(frame, frame, "full")[1200:]
        lag = int(correlation[60:300].argmax()) + 60
        if correlation[lag] > 0.5 * np.square(frame).sum() > 0.05:
            lags.append(lag)
    return float(np.median(lags))


def test_stop_ends_both_halves(model: StudentModel) -> None:
    prosody, stop = model.predict(SYMBOLS, 1.0, Stop()), Stop()
    stop.set()
    with pytest.raises(Stopped):
        model.predict(SYMBOLS, 1.0, stop)
    with pytest.raises(Stopped):
        model.decode(prosody, 0, 10, stop)
