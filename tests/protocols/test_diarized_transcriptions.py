"""Transcripts that name their speakers: shapes, labels, events and refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai.types.audio import TranscriptionDiarized, TranscriptionTextSegmentEvent

from kani.core.diarization.turns import SpeakerTurn, divide_by_speaker
from kani.core.subtitles.files import speaker_letters
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.protocols.elevenlabs.http.speech_to_text import describe_transcript
from kani.protocols.elevenlabs.http.transcription_form import TranscriptionForm
from kani.protocols.openai.transcription.answers import json_answer, plain_answer
from kani.protocols.openai.transcription.params import TranscriptionParams
from kani.protocols.shared.recordings.transcript import Transcript
from tests.protocols.openai.test_transcriptions import ELEVENLABS, MODEL, TEXT, TRANSLATIONS, WAV, post

WORDS = (
    *(TranscribedWord("Ready?", 0.5, 1.0, -0.1), TranscribedWord("Yes,", 1.5, 1.8, -0.1)),
    TranscribedWord("go.", 1.9, 2.25, -0.1),
)
SEGMENT = TranscribedSegment(
    " Ready? Yes, go.", 0.5, 2.25, WORDS, (1, 2, 3), 0.0, 0.0, -0.1, 1.0, 0.0, "en", 1.0
)
TRANSCRIPT = Transcript(
    divide_by_speaker([SEGMENT], [SpeakerTurn(0.4, 1.1, 0), SpeakerTurn(1.4, 2.3, 1)]), 3.0, "en"
)


def params(response_format: str) -> TranscriptionParams:
    return TranscriptionParams(TranscriptionOptions(), response_format, False, True, False, False, (), True)


def test_openai_answer_has_the_shape_of_its_package() -> None:
    answer = json_answer(TRANSCRIPT, params("diarized_json"))
    kind = "transcript.text.segment"
    assert answer == {
        "task": "transcribe",
        "duration": 3.0,
        "text": "Ready? Yes, go.",
        "segments": [
            {"type": kind, "id": "seg_001", "start": 0.5, "end": 1.0, "text": " Ready?", "speaker": "A"},
            {"type": kind, "id": "seg_002", "start": 1.5, "end": 2.25, "text": " Yes, go.", "speaker": "B"},
        ],
        "usage": {"type": "duration", "seconds": 3},
    }
    assert TranscriptionDiarized.model_validate(answer, strict=True).to_dict() == answer


def test_subtitles_name_the_speakers() -> None:
    assert "\nA: Ready?\n" in plain_answer(TRANSCRIPT, "srt") and "\nB: Yes, go.\n" in plain_answer(
        TRANSCRIPT, "vtt"
    )


def test_elevenlabs_words_and_spaces_have_speakers() -> None:
    form = TranscriptionForm(None, TranscriptionOptions(), "word", False, (), True, None, ())  # type: ignore[arg-type]
    items = describe_transcript(TRANSCRIPT, form)["words"]
    assert [(item["text"], item["speaker_id"]) for item in items] == [
        ("Ready?", "speaker_0"),
        *((" ", "speaker_1"), ("Yes,", "speaker_1"), (" ", "speaker_1"), ("go.", "speaker_1")),
    ]


def test_letters_go_on_after_z() -> None:
    assert [speaker_letters(number) for number in (0, 1, 25, 26, 31)] == ["A", "B", "Z", "AA", "AF"]


def test_single_speaker_is_the_first(client: httpx.Client) -> None:
    """Also where the voice detector hears no voice, and the recogniser words."""
    answer = post(client, response_format="diarized_json", **{"known_speaker_names[]": "Ana"})
    assert answer.status_code == 200 and answer.headers["x-unused"] == "known_speaker_names"
    found = TranscriptionDiarized.model_validate(answer.json(), strict=True)
    assert found.text == TEXT and [segment.speaker for segment in found.segments] == ["A", "A"]
    words = post(client, ELEVENLABS, model_id="scribe_v1", diarize="true", num_speakers="2").json()["words"]
    assert {word["speaker_id"] for word in words} == {"speaker_0"}


@pytest.mark.parametrize(("model", "begin"), [("gpt-4o-transcribe-diarize", "A: "), ("whisper-1", "")])
def test_subtitles_of_a_model_that_tells_speakers_apart(client: httpx.Client, model: str, begin: str) -> None:
    answer = post(client, model=model, response_format="srt").text
    assert answer.splitlines()[2] == f"{begin}¡bum, hm."


def test_stream_has_the_segments_after_the_text(client: httpx.Client) -> None:
    answer = post(client, response_format="diarized_json", stream="true").text
    lines = [line.removeprefix("data: ") for line in answer.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    assert [event["type"].removeprefix("transcript.text.") for event in events] == [
        *("delta", "delta", "segment", "segment", "done"),
    ]
    segments = [TranscriptionTextSegmentEvent.model_validate(event, strict=True) for event in events[2:4]]
    assert "".join(segment.text for segment in segments).strip() == events[-1]["text"] == TEXT


@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        (ELEVENLABS, {"diarize": "perhaps"}, "diarize"),
        (ELEVENLABS, {"diarize": "true", "num_speakers": "0"}, "num_speakers"),
        (ELEVENLABS, {"diarize": "true", "num_speakers": "33"}, "num_speakers"),
        (ELEVENLABS, {"diarize": "true", "num_speakers": "2.5"}, "num_speakers"),
        (ELEVENLABS, {"diarize": "true", "num_speakers": "٣"}, "num_speakers"),
        (TRANSLATIONS, {"response_format": "diarized_json"}, "response_format"),
    ],
)
def test_wrong_fields_are_named(client: httpx.Client, path: str, fields: dict[str, Any], named: str) -> None:
    form = MODEL | {"model_id": "scribe_v1"} | fields
    answer = client.post(path, files={"file": ("a.wav", WAV)}, data=form)
    assert answer.status_code == 400 and named in answer.text
