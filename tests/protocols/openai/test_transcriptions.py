"""Transcriptions by HTTP: formats, events, forms and JSON, over a recogniser that hears loud seconds."""

import asyncio
import base64
import json
import math
from typing import Any

import httpx2
import numpy as np
import pytest

from kani.core.audio.pcm import pcm16, wav
from kani.core.transcriber import TranscriptionOptions
from tests.core.audio.test_pcm import encoded as audio_file
from tests.support.loudness import HeldRecognizer, LoudnessRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.app_server import AppServer, StartApp

RATE = 16_000
PATH, TRANSLATIONS, ELEVENLABS = "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/speech-to-text"
LOUD = np.full(RATE, 0.5, np.float32)
QUIET = np.zeros(RATE, np.float32)
SPEECH = np.concatenate([LOUD, QUIET, LOUD])
WAV = wav(SPEECH, RATE)
TEXT = "¡bum, hm. ¡bum, hm."
MODEL = {"model": "whisper-1"}


def encoded(container: str, codec: str, rate: int = 48_000) -> bytes:
    """``SPEECH`` as a square wave, which lossy codecs keep as loud, in another container."""
    times = np.arange(3 * rate)
    wave = np.repeat(SPEECH > 0, rate // RATE) * np.where(times // (rate // 400) % 2, 0.7, -0.7)
    return audio_file(container, codec, wave.astype(np.float32), rate)


def post(client: httpx2.Client, path: str = PATH, file: bytes = WAV, **fields: Any) -> httpx2.Response:
    return client.post(path, files={"file": ("speech.wav", file)}, data=MODEL | fields)


def events_of(answer: httpx2.Response) -> list[dict[str, Any]]:
    """Events of a stream that ends as OpenAI's do."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    *lines, end = answer.text.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    events = [(name, json.loads(data)) for name, data in (line.split("\ndata: ", 1) for line in lines)]
    assert all(name == f"event: {event['type']}" for name, event in events)
    return [event for _, event in events]


def test_json_is_the_default_format_and_may_have_the_probabilities_of_words(client: httpx2.Client) -> None:
    answer = post(client)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "text": TEXT,
        "languages": [{"code": "es"}],
        "usage": {"type": "duration", "seconds": 3.0},
    }
    words = post(client, **{"include[]": "logprobs"}).json()["logprobs"]
    assert len(words) == 4
    assert words[0] == {"token": "¡bum,", "bytes": list("¡bum,".encode()), "logprob": -0.25}


SRT = "1\n00:00:00,000 --> 00:00:01,000\n¡bum, hm.\n\n2\n00:00:02,000 --> 00:00:03,000\n¡bum, hm.\n\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n¡bum, hm.\n\n00:00:02.000 --> 00:00:03.000\n¡bum, hm.\n\n"


@pytest.mark.parametrize(
    ("response_format", "kind", "body"),
    [("text", "plain", f"{TEXT}\n"), ("srt", "plain", SRT), ("vtt", "vtt", VTT)],
)
def test_text_formats_are_files(client: httpx2.Client, response_format: str, kind: str, body: str) -> None:
    answer = post(client, response_format=response_format)
    assert (answer.headers["content-type"], answer.text) == (f"text/{kind}; charset=utf-8", body)


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({}, {"segments"}),
        ({"timestamp_granularities[]": ["word"]}, {"words"}),
        ({"timestamp_granularities": ["word", "segment"]}, {"words", "segments"}),
        ({"timestamp_granularities": '["word"]'}, {"words"}),
        ({"timestamp_granularities[]": "word, segment"}, {"words", "segments"}),
        (
            {"timestamp_granularities[0]": "segment", "timestamp_granularities[1]": "word"},
            {"words", "segments"},
        ),
    ],
)
def test_verbose_json_has_what_is_asked(client: httpx2.Client, asked: dict[str, Any], keys: set[str]) -> None:
    answer = post(client, response_format="verbose_json", language="en-US", **asked).json()
    assert set(answer) == {"task", "language", "duration", "text", "usage"} | keys
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "english", 3.0)
    if "words" in keys:
        assert answer["words"][0] == {"word": "bum", "start": 0.0, "end": 0.5}
        assert [word["word"] for word in answer["words"]] == ["bum", "hm", "bum", "hm"]
    if "segments" in keys:
        assert answer["segments"][1] == {
            "id": 1,
            "seek": 200,
            "start": 2.0,
            "end": 3.0,
            "text": " ¡bum, hm.",
            "tokens": [7, 8],
            "temperature": 0.0,
            "avg_logprob": -0.25,
            "compression_ratio": 1.0,
            "no_speech_prob": 0.125,
        }


@pytest.mark.parametrize(("seconds", "billed"), [(2.5, 3), (3.0, 3), (0.2, 1)])
def test_usage_has_whole_seconds(client: httpx2.Client, seconds: float, billed: int) -> None:
    """A client's model of it may be a whole number: OpenAI's are."""
    file = wav(SPEECH[: round(seconds * RATE)], RATE)
    for response_format in ("json", "verbose_json"):
        usage = post(client, file=file, response_format=response_format).json()["usage"]
        assert usage == {"type": "duration", "seconds": billed} and isinstance(usage["seconds"], int)


@pytest.mark.parametrize("response_format", ["json", "text", "srt", "vtt"])
@pytest.mark.parametrize(
    ("model", "granularities"),
    [("whisper-1", ["segment"]), ("gpt-4o-transcribe", ["segment"]), ("gpt-4o-mini-transcribe", ["word"])],
)
def test_granularities_without_times_are_named(
    client: httpx2.Client, model: str, granularities: list[str], response_format: str
) -> None:
    fields = {"model": model, "response_format": response_format, "language": "en"}
    answer = post(client, **fields, **{"timestamp_granularities[]": granularities})
    assert answer.status_code == 200
    assert answer.headers["x-unused"] == "timestamp_granularities"


def test_options_reach_the_recogniser_and_others_are_named(
    client: httpx2.Client, espeak_app: AppServer
) -> None:
    fields = {"chunking_strategy": "auto", "known_speaker_names[]": ["Ana"], "hotwords": "Kani", "empty": ""}
    for stream in ("false", "true"):
        answer = post(client, stream=stream, **fields)
        assert answer.headers["x-unused"] == "chunking_strategy, known_speaker_names, hotwords"
    verbose = post(client, response_format="verbose_json", **{"timestamp_granularities[]": "word"})
    assert "x-unused" not in verbose.headers
    recognizer = espeak_app.service.recognition.recognizer
    assert isinstance(recognizer, LoudnessRecognizer)
    fields = {"languages[]": ["es", "en-GB"], "keywords[]": ["Kani", "Kokoro"], "prompt": "Dear all"}
    assert post(client, temperature="0.4", chunking_strategy="auto", unknown="1", **fields).is_success
    assert recognizer.options == TranscriptionOptions(
        candidates=frozenset({"es", "en"}), prompt="Kani, Kokoro. Dear all", temperature=0.4
    )
    vad = json.dumps({"type": "server_vad", "silence_duration_ms": 200})
    assert post(client, language="spanish", chunking_strategy=vad).status_code == 200
    assert recognizer.options == TranscriptionOptions(language="es")


def test_translation_is_english_whole_and_streamed(client: httpx2.Client) -> None:
    assert post(client, TRANSLATIONS).json() == {
        "text": "¡boom, hm. ¡boom, hm.",
        "usage": {"type": "duration", "seconds": 3.0},
    }
    verbose = post(client, TRANSLATIONS, response_format="verbose_json").json()
    assert (verbose["task"], verbose["language"]) == ("translate", "english")
    # As Speaches does; OpenAI's translations are whole.
    answer = post(client, TRANSLATIONS, stream="true")
    assert "x-unused" not in answer.headers
    *deltas, done = events_of(answer)
    assert "languages" not in done
    assert "".join(event["delta"] for event in deltas) == done["text"] == "¡boom, hm. ¡boom, hm."


def test_stream_sends_deltas_that_add_up_and_the_whole(client: httpx2.Client) -> None:
    *deltas, done = events_of(post(client, stream="true"))
    assert {event["type"] for event in deltas} == {"transcript.text.delta"}
    assert "".join(event["delta"] for event in deltas) == done["text"] == TEXT
    assert done["type"] == "transcript.text.done"
    # SubtitleEdit's subtitles.
    assert done["segments"] == [
        {"id": number, "start": start, "end": start + 1, "text": event["delta"] if number else " " + TEXT[:9]}
        for number, (start, event) in enumerate(zip((0.0, 2.0), deltas, strict=True))
    ]
    assert done["usage"] == {
        "type": "tokens",
        "input_tokens": 30,
        "output_tokens": 4,
        "total_tokens": 34,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 30},
    }


def test_stream_of_verbose_json_has_the_times_of_sentences_and_words(client: httpx2.Client) -> None:
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    whole = post(client, **asked).json()
    *deltas, _ = events_of(post(client, stream="true", **asked))
    segments = [{name: one[name] for name in ("start", "end", "text")} for one in whole["segments"]]
    assert [event["segment"] for event in deltas] == segments
    assert [word for event in deltas for word in event["words"]] == whole["words"]


@pytest.mark.parametrize(
    ("fields", "seconds", "words"),
    [
        ({"start": "0", "duration": "1.5"}, 1.5, [0.0, 0.5]),
        ({"start": "2", "duration": "1"}, 1.0, [0.0, 0.5]),
        ({"start": "1", "duration": "100000"}, 2.0, [1.0, 1.5]),
        ({"start": "1"}, 2.0, [1.0, 1.5]),
        ({"start": "1", "duration": "1"}, 1.0, []),
    ],
)
def test_clip_is_heard_alone_with_times_from_its_start(
    client: httpx2.Client, fields: dict[str, str], seconds: float, words: list[float]
) -> None:
    asked = {"response_format": "verbose_json", "timestamp_granularities[]": ["word"]}
    answer = post(client, **asked, **fields)
    assert "x-unused" not in answer.headers
    assert answer.json()["duration"] == seconds
    assert [word["start"] for word in answer.json()["words"]] == words


def test_clip_of_a_long_recording_crosses_its_pieces(client: httpx2.Client) -> None:
    """Which are decoded 20 s at a time."""
    file = wav(np.tile(np.concatenate([LOUD, QUIET]), 32), RATE)
    answer = post(client, file=file, response_format="verbose_json", start="17", duration="26").json()
    starts = [segment["start"] for segment in answer["segments"]]
    assert answer["duration"] == 26 and starts == [float(second) for second in range(1, 26, 2)]


def test_silence_is_an_empty_text(client: httpx2.Client) -> None:
    silence = wav(QUIET, RATE)
    assert post(client, file=silence).json()["text"] == ""
    verbose = post(client, file=silence, response_format="verbose_json").json()
    assert (verbose["segments"], verbose["language"]) == ([], "")
    events = post(client, file=silence, stream="true").text
    assert events.startswith('event: transcript.text.done\ndata: {"type":"transcript.text.done","text":""')


CONTAINERS = """wav pcm_s16le, wav pcm_alaw, mp3 libmp3lame, mp4 aac, ogg libopus, webm libopus, flac flac,
    adts aac, aiff pcm_s16be, mpegts aac, avi pcm_s16le"""


@pytest.mark.parametrize(("container", "codec"), [pair.split() for pair in CONTAINERS.split(",")])
def test_bytes_tell_the_container(client: httpx2.Client, container: str, codec: str) -> None:
    """The file's name and type say PDF."""
    file = {"file": ("scan.pdf", encoded(container, codec), "application/pdf")}
    answer = client.post(PATH, files=file, data=MODEL)
    assert answer.json()["text"] == TEXT, answer.text


@pytest.mark.parametrize("language", [None, "es"])
def test_json_body_holds_the_file(client: httpx2.Client, language: str | None) -> None:
    """As Open WebUI sends it with api_request_format=json."""
    data = base64.b64encode(encoded("mp3", "libmp3lame")).decode()
    body = {"model": "whisper-1", "language": language, "input_audio": {"data": data, "format": "mp3"}}
    answer = client.post(PATH, json=body | {"keywords": ["Kani"], "temperature": 0, "stream": False})
    assert answer.json()["text"] == TEXT, answer.text


def test_chunked_form_needs_no_length(client: httpx2.Client) -> None:
    request = client.build_request("POST", PATH, files={"file": ("a.wav", WAV)}, data=MODEL)
    whole = request.read()
    pieces = (whole[at : at + 1000] for at in range(0, len(whole), 1000))
    answer = client.post(PATH, content=pieces, headers={"content-type": request.headers["content-type"]})
    assert "content-length" not in answer.request.headers
    assert answer.json()["text"] == TEXT


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_client_that_leaves_ends_the_work(start_app: StartApp, stream: str) -> None:
    server = start_app()
    recognizer = server.service.recognition.recognizer = HeldRecognizer(math.inf)
    form = {"files": {"file": ("a.wav", WAV)}, "data": MODEL | {"stream": stream}}
    async with httpx2.AsyncClient(base_url=server.http_url, timeout=WITHIN_S) as client:
        if stream == "true":
            async with client.stream("POST", PATH, **form) as answer:
                assert await anext(answer.aiter_lines())
        else:
            task = asyncio.create_task(client.post(PATH, **form))
            await happens(lambda: recognizer.holding)
            task.cancel()
    await happens(lambda: recognizer.closed and not server.service.state().sessions)


def test_elevenlabs_answer_has_words_and_spaces(client: httpx2.Client) -> None:
    unused = {"num_speakers": "2", "secondary_language_codes": "es", "tag_audio_events": "true"}
    answer = post(client, ELEVENLABS, model_id="scribe_v1", diarize="false", seed="", **unused)
    assert answer.headers["x-unused"] == ", ".join(["model", *unused])
    whole = answer.json()
    assert (whole["language_code"], whole["language_probability"]) == ("spa", 0.75)
    assert (whole["text"], whole["audio_duration_secs"]) == (TEXT, 3.0)
    assert "".join(item["text"] for item in whole["words"]) == TEXT
    assert [item["type"] for item in whole["words"]] == ["word", "spacing"] * 3 + ["word"]
    word = {"text": "¡bum,", "start": 0.0, "end": 0.5, "type": "word", "speaker_id": None, "logprob": -0.25}
    assert whole["words"][0] == word
    space = {"text": " ", "start": 1.0, "end": 2.0, "type": "spacing", "speaker_id": None, "logprob": 0.0}
    assert whole["words"][3] == space


def test_elevenlabs_options_shape_the_answer(espeak_app: AppServer, client: httpx2.Client) -> None:
    options = {
        "language_code": "eng",
        "file_format": "pcm_s16le_16",
        "timestamps_granularity": "character",
        "keyterms": ["Kani", "Kokoro"],
        "additional_formats": json.dumps([{"format": "srt"}, {"format": "txt"}]),
    }
    whole = post(client, ELEVENLABS, file=pcm16(SPEECH), model_id="scribe_v1", **options).json()
    assert (whole["language_code"], whole["language_probability"]) == ("eng", 1.0)
    letters = whole["words"][0]["characters"]
    assert "".join(letter["text"] for letter in letters) == "¡bum,"
    assert letters[1] == {"text": "b", "start": 0.1, "end": 0.2}
    srt, txt = whole["additional_formats"]
    assert srt["content"].startswith("1\n00:00:00,000 --> ") and txt["content"] == TEXT
    recognizer = espeak_app.service.recognition.recognizer
    assert isinstance(recognizer, LoudnessRecognizer)
    assert recognizer.options == TranscriptionOptions(language="en", prompt="Kani, Kokoro.")
    none = post(client, ELEVENLABS, model_id="scribe_v1", timestamps_granularity="none").json()
    assert none["words"][0]["start"] is None
