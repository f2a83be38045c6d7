"""Transcripts that name their speakers: shapes, labels, events and refusals."""

import base64
import re
from dataclasses import replace
from io import BytesIO

import httpx2
import numpy as np
import pytest
from openai.types.audio import TranscriptionDiarized, TranscriptionTextSegmentEvent

from kani.core.audio.pcm import wav
from kani.core.diarization.turns import SpeakerTurn, divide_by_speaker
from kani.core.subtitles import speaker_name
from kani.core.transcriber import TranscribedSegment, TranscribedWord, TranscriptionOptions
from kani.core.types import Samples
from kani.protocols.elevenlabs.http.speech_to_text import (
    TranscriptionFields,
    TranscriptionForm,
    describe_transcript,
)
from kani.protocols.openai.transcription.answers import json_answer, plain_answer
from kani.protocols.openai.transcription.known_speakers import KnownSpeakers
from kani.protocols.openai.transcription.params import TranscriptionParams
from kani.protocols.shared.recordings.transcript import Transcript
from tests.protocols.openai.test_transcriptions import (
    ELEVENLABS,
    LOUD,
    RATE,
    TEXT,
    TRANSLATIONS,
    events_of,
    post,
)

WORDS = (
    *(TranscribedWord("Ready?", 0.5, 1.0, -0.1), TranscribedWord("Yes,", 1.5, 1.8, -0.1)),
    TranscribedWord("go.", 1.9, 2.25, -0.1),
)
SEGMENT = TranscribedSegment(
    " Ready? Yes, go.", 0.5, 2.25, WORDS, (1, 2, 3), 0.0, 0.0, -0.1, 1.0, 0.0, "en", 1.0
)
TURNS = [SpeakerTurn(0.4, 1.1, 0), SpeakerTurn(1.4, 2.3, 1)]
TRANSCRIPT = Transcript(divide_by_speaker([SEGMENT], TURNS), 3.0, "en")


def test_stray_words_are_not_another_speakers() -> None:
    """A turn that begins or ends a word too late moves no word out of its sentence; a reply stays a reply."""
    said = "We meet by the school bus! Yes. We'll write a letter."
    words = [TranscribedWord(word, 0.4 * n, 0.4 * n + 0.35, -0.1) for n, word in enumerate(said.split())]
    segment = replace(SEGMENT, text=said, words=tuple(words))
    # Of "bus!" on, of "Yes.", and of "write" on.
    turns = [SpeakerTurn(*turn) for turn in ((0, 1.9, 0), (1.9, 2.8, 1), (2.8, 3.2, 1), (3.2, 9, 0))]
    parts = divide_by_speaker([segment], turns)
    assert [(part.speaker, part.text.strip()) for part in parts] == [
        *((0, "We meet by the school bus!"), (1, "Yes."), (0, "We'll write a letter.")),
    ]
    assert "".join(part.text for part in parts) == said
    # Who speaks for longer within a sentence interrupts it.
    long = [SpeakerTurn(0, 1.1, 0), SpeakerTurn(1.1, 9, 1)]
    assert [part.speaker for part in divide_by_speaker([segment], long)] == [0, 1]


def params(response_format: str) -> TranscriptionParams:
    return TranscriptionParams(TranscriptionOptions(), response_format, False, True, False, False, (), True)


def test_answers_name_the_speakers_in_the_shape_of_each_api() -> None:
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
    assert "\nA: Ready?\n" in plain_answer(TRANSCRIPT, params("srt"))
    assert "\nB: Yes, go.\n" in plain_answer(TRANSCRIPT, params("vtt"))
    known = replace(params("srt"), known_speakers=KnownSpeakers(("Ana",), (b"",)))
    assert re.findall(r"(\w+): ", plain_answer(TRANSCRIPT, known)) == ["Ana", "A"]
    form = TranscriptionForm(TranscriptionFields(model_id="scribe_v1"), BytesIO(), TranscriptionOptions())
    items = describe_transcript(TRANSCRIPT, form)["words"]
    assert [(item["text"], item["speaker_id"]) for item in items] == [
        ("Ready?", "speaker_0"),
        *((" ", "speaker_1"), ("Yes,", "speaker_1"), (" ", "speaker_1"), ("go.", "speaker_1")),
    ]


def test_single_speaker_is_the_first(client: httpx2.Client) -> None:
    """Also where the voice detector hears no voice, and the recogniser words."""
    answer = post(client, response_format="diarized_json")
    assert answer.status_code == 200
    found = TranscriptionDiarized.model_validate(answer.json(), strict=True)
    assert found.text == TEXT and [segment.speaker for segment in found.segments] == ["A", "A"]
    # A stream has the segments after the text.
    events = events_of(post(client, response_format="diarized_json", stream="true"))
    kinds = [event["type"].removeprefix("transcript.text.") for event in events]
    assert kinds == ["delta", "delta", "segment", "segment", "done"]
    segments = [TranscriptionTextSegmentEvent.model_validate(event, strict=True) for event in events[2:4]]
    assert "".join(segment.text for segment in segments).strip() == events[-1]["text"] == TEXT
    words = post(client, ELEVENLABS, model_id="scribe_v1", diarize="true", num_speakers="2").json()["words"]
    assert {word["speaker_id"] for word in words} == {"speaker_0"}


def test_verbose_json_of_a_model_that_tells_speakers_apart(client: httpx2.Client) -> None:
    fields = {"model": "whisper-diarize", "response_format": "verbose_json"}
    granularities = {"timestamp_granularities[]": ["word", "segment"]}
    answer = post(client, **fields, **granularities).json()
    assert [segment["speaker"] for segment in answer["segments"]] == ["A", "A"]
    streamed = events_of(post(client, stream="true", **fields, **granularities))
    events = [event for event in streamed if event["type"] == "transcript.text.segment"]
    assert [event["speaker"] for event in events] == ["A", "A"]
    assert [[word["word"] for word in event["words"]] for event in events] == [["bum", "hm"]] * 2
    assert "speaker" not in post(client, response_format="verbose_json").json()["segments"][0]


def test_speakers_are_told_apart_for_clients_of_speaches(client: httpx2.Client) -> None:
    for asked, speakers in (("true", {"A"}), ("false", {None})):
        answer = post(client, response_format="verbose_json", diarization=asked)
        assert {segment.get("speaker") for segment in answer.json()["segments"]} == speakers
        assert "x-unused" not in answer.headers
        assert post(client, diarization=asked).headers["x-unused"] == "diarization"
    # In subtitles a model that tells speakers apart names them.
    for model, begin in (("gpt-4o-transcribe-diarize", "A: "), ("whisper-1", "")):
        answer = post(client, model=model, response_format="srt")
        assert answer.text.splitlines()[2] == f"{begin}¡bum, hm."


def reference(samples: Samples) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(wav(samples, RATE)).decode()}"


@pytest.mark.parametrize(
    ("names", "references", "named"),
    [
        (["Ana"], [], "known_speaker_references: must be as many as known_speaker_names: 1, not 0"),
        ([], ["data:audio/wav;base64,"], "known_speaker_references: must be as many"),
        ([*"ABCDE"], [], "known_speaker_names: too many (at most 4)"),
        (["A", "A"], ["data:,"] * 2, "known_speaker_names: must differ"),
        (["A" * 65], ["data:,"], "known_speaker_names: must be of printable characters, 64 at most"),
        (["A\nB"], ["data:,"], "known_speaker_names: must be of printable characters"),
        (["A"], ["https://example.com/a.wav"], "known_speaker_references[0]: must be a data URL"),
        (["A"], ["data:audio/wav;base64,äöü"], "known_speaker_references[0]: is no base64"),
        (["A"], ["data:audio/wav;base64,AAAA"], "known_speaker_references[0]: is damaged, or not audio"),
        (["A"], [reference(LOUD)], "known_speaker_references[0]: too short (at least 2 s)"),
        (["A"], [reference(np.zeros(11 * RATE, np.float32))], "known_speaker_references[0]: too long"),
        (["A"], [reference(np.zeros(3 * RATE, np.float32))], "known_speaker_references[0]: holds no speech"),
    ],
)
def test_wrong_known_speakers_are_named(
    client: httpx2.Client, names: list[str], references: list[str], named: str
) -> None:
    known = {"known_speaker_names[]": names, "known_speaker_references[]": references}
    answer = post(client, response_format="diarized_json", **known)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["message"].startswith(named)
    assert error["param"] == named.partition(":")[0]
    # Without speakers in the answer the fields have no effect.
    unused = post(client, **known).headers["x-unused"]
    assert unused == ", ".join(name.removesuffix("[]") for name, values in known.items() if values)


def test_translation_names_no_speakers_and_letters_go_on_after_z(client: httpx2.Client) -> None:
    answer = post(client, TRANSLATIONS, response_format="diarized_json")
    assert answer.status_code == 400 and "response_format" in answer.text
    assert [speaker_name(number) for number in (0, 1, 25, 26, 31)] == ["A", "B", "Z", "AA", "AF"]
