"""Speaches' /v1/audio/speech/timestamps and /v1/audio/diarization over a socket, without a recogniser."""

import base64
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx2
import numpy as np
import pytest

import kani
from kani.core.audio.pcm import wav
from kani.core.audio.resampling import Resampler
from kani.core.types import Samples
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer, app_server

RATE = 16_000
SPEECH, SPEAKERS = "/v1/audio/speech/timestamps", "/v1/audio/diarization"
LINES = (
    "The train to the coast leaves at nine, and it is rarely late.",
    "Then we have time for breakfast, and for a walk along the river.",
)


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with app_server(tmp_path_factory.mktemp("deaf"), KANI_RECOGNIZER="none") as running:
        yield running


@pytest.fixture(scope="module")
def voices(speech: kani.Speech) -> list[Samples]:
    """The lines, the second by a speaker with a longer throat: all of it is a third lower."""
    said = [speech.say(line, voice="espeak:en", language="en") for line in LINES]
    resamplers = [Resampler(said[0].sample_rate, RATE), Resampler(said[0].sample_rate, RATE * 5 // 4)]
    return [
        np.concatenate([one.feed(a.samples), one.finish()]) for one, a in zip(resamplers, said, strict=True)
    ]


@pytest.fixture(scope="module")
def talk(voices: list[Samples]) -> tuple[Samples, list[tuple[float, float]]]:
    """Both lines twice with silence around each, and the seconds in which each is spoken."""
    silence, pieces, at_s, times = np.zeros(RATE * 3 // 2, np.float32), [], 0.0, []
    for line in voices * 2:
        at_s += 1.5
        times.append((at_s, at_s := at_s + len(line) / RATE))
        pieces += [silence, line]
    return np.concatenate([*pieces, silence]), times


def post(app: AppServer, path: str, samples: Samples, **fields: Any) -> httpx2.Response:
    files = {"file": ("our talk.wav", wav(samples, RATE))}
    return httpx2.post(f"{app.http_url}{path}", files=files, data=fields, timeout=WITHIN_S)


def test_speech_has_times_in_whole_milliseconds(deaf: AppServer, talk: Any) -> None:
    samples, times = talk
    answer = post(deaf, SPEECH, samples, model="silero_vad_v5", threshold="0.5", window_size_samples="512")
    assert answer.status_code == 200 and answer.headers["x-unused"] == "window_size_samples"
    found = answer.json()
    assert all(
        {*span} == {"start", "end"} and type(span["start"]) is type(span["end"]) is int for span in found
    )
    told = [(span["start"] / 1000, span["end"] / 1000) for span in found]
    assert np.abs(np.array(told) - times).max() < 0.3
    padded = post(deaf, SPEECH, samples, threshold="0.5", speech_pad_ms="200").json()
    assert [one["start"] for one in padded] == [one["start"] - 200 for one in found]
    # Silence is longer than a second: it joins all only where that is asked for.
    joined = post(deaf, SPEECH, samples, threshold="0.5", min_silence_duration_ms="3000").json()
    assert joined == [{"start": found[0]["start"], "end": found[-1]["end"]}]
    cut = post(deaf, SPEECH, samples, threshold="0.5", max_speech_duration_s="0.5").json()
    assert len(cut) > 8 and max(one["end"] - one["start"] for one in cut) <= 500
    assert all(before["end"] <= after["start"] for before, after in pairwise(cut))
    assert post(deaf, SPEECH, samples, threshold="0.5", max_speech_duration_s="inf").json() == found
    assert post(deaf, SPEECH, samples, min_speech_duration_ms="60000").json() == []


def test_speakers_have_turns(deaf: AppServer, talk: Any) -> None:
    samples, times = talk
    answer = post(deaf, SPEAKERS, samples, model="pyannote/speaker-diarization-community-1")
    assert answer.status_code == 200 and "x-unused" not in answer.headers
    found = answer.json()
    assert found["duration"] == pytest.approx(len(samples) / RATE, abs=0.01)
    assert [one["speaker"] for one in found["segments"]] == ["SPEAKER_00", "SPEAKER_01"] * 2
    told = [(one["start"], one["end"]) for one in found["segments"]]
    assert np.abs(np.array(told) - times).max() < 0.4
    rttm = post(deaf, SPEAKERS, samples, response_format="rttm")
    assert rttm.headers["content-type"].startswith("text/plain")
    rows = [line.split() for line in rttm.text.splitlines()]
    assert rows == [
        [
            "SPEAKER",
            "our_talk",
            "1",
            f"{start:.3f}",
            f"{end - start:.3f}",
            "<NA>",
            "<NA>",
            name,
            "<NA>",
            "<NA>",
        ]
        for (start, end), name in zip(told, ["SPEAKER_00", "SPEAKER_01"] * 2, strict=True)
    ]


def test_known_speakers_have_their_names(deaf: AppServer, talk: Any, voices: list[Samples]) -> None:
    reference = f"data:audio/wav;base64,{base64.b64encode(wav(voices[1], RATE)).decode()}"
    known = {"known_speaker_names[]": "Ana", "known_speaker_references[]": reference}
    segments = post(deaf, SPEAKERS, talk[0], **known).json()["segments"]
    assert [one["speaker"] for one in segments] == ["SPEAKER_00", "Ana"] * 2


def test_silence_has_neither(deaf: AppServer) -> None:
    silence = np.zeros(3 * RATE, np.float32)
    assert post(deaf, SPEECH, silence).json() == []
    assert post(deaf, SPEAKERS, silence).json() == {"duration": 3.0, "segments": []}


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        (SPEECH, "threshold", "1.5"),
        (SPEECH, "neg_threshold", "high"),
        (SPEECH, "min_silence_duration_ms", "-1"),
        (SPEECH, "speech_pad_ms", "99999999999"),
        (SPEECH, "max_speech_duration_s", "nan"),
        (SPEAKERS, "response_format", "xml"),
        (SPEAKERS, "known_speaker_names", "Ana"),
    ],
)
def test_wrong_field_is_named(deaf: AppServer, path: str, field: str, value: str) -> None:
    answer = post(deaf, path, np.zeros(RATE, np.float32), **{field: value})
    named = field.replace("names", "references")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, named)


@pytest.mark.parametrize("path", [SPEECH, SPEAKERS])
def test_no_recording_is_refused_by_name(deaf: AppServer, path: str) -> None:
    for given in ({"files": {"model": (None, "m")}}, {"files": {"file": ("a.wav", b"no audio" * 99)}}):
        answer = httpx2.post(f"{deaf.http_url}{path}", timeout=WITHIN_S, **given)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert httpx2.get(f"{deaf.http_url}{path}").status_code == 405
