"""The calls of other Whisper servers over a recogniser that hears loud seconds: forms, fields and errors."""

import base64
from typing import Any

import httpx2
import numpy as np
import pytest

from kani.core.audio.pcm import pcm16
from tests.protocols.openai.test_transcriptions import LOUD, QUIET, SPEECH, SRT, VTT, WAV
from tests.support.loudness import LoudnessRecognizer
from tests.support.servers.app_server import KEY, StartApp

BARE = {"encode": "false"}
LINES = "¡bum, hm.\n¡bum, hm.\n"
TSV = "start\tend\ttext\n0\t1000\t¡bum, hm.\n2000\t3000\t¡bum, hm.\n"


def asr(client: httpx2.Client, file: bytes = pcm16(SPEECH), **query: Any) -> httpx2.Response:
    return client.post("/asr", params=BARE | query, files={"audio_file": ("audio_file", file)})


def inference(client: httpx2.Client, **fields: Any) -> httpx2.Response:
    return client.post("/inference", files={"file": ("../../a.wav", WAV)}, data=fields)


@pytest.mark.parametrize(("output", "text"), [("txt", LINES), ("srt", SRT), ("vtt", VTT), ("tsv", TSV)])
def test_asr_answers_in_each_form(client: httpx2.Client, output: str, text: str) -> None:
    answer = asr(client, output=output, language="es")
    assert (answer.status_code, answer.text) == (200, text)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["asr-engine"] == "loudness"
    assert answer.headers["content-disposition"] == f'attachment; filename="transcript.{output}"'


def test_asr_answers_with_whispers_result(client: httpx2.Client) -> None:
    answer = asr(client, output="json", word_timestamps="true", video_file="/films/a.mkv", vad_filter="true")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    # Of a path nothing is read.
    assert answer.headers["x-unused"] == "video_file, vad_filter"
    result = answer.json()
    assert (result["text"], result["language"]) == ("¡bum, hm. ¡bum, hm.", "es")
    first, second = result["segments"]
    assert first.keys() >= {"id", "seek", "start", "end", "text", "tokens", "avg_logprob", "no_speech_prob"}
    assert (second["id"], second["start"], second["end"]) == (1, 2.0, 3.0)
    for segment in (first, second):
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]
        assert all(0 < word["probability"] <= 1 for word in segment["words"])
    assert "words" not in asr(client, output="json").json()["segments"][0]


def test_asr_takes_a_container_translates_and_reads_its_fields_from_the_form_too(
    client: httpx2.Client,
) -> None:
    files, fields = {"audio_file": ("a.wav", WAV)}, {"task": "translate", "output": "srt"}
    answer = client.post("/asr", files=files, data=fields)
    assert answer.text == SRT.replace("¡bum", "¡boom")
    # Of both, the address counts.
    assert client.post("/asr", params={"output": "txt"}, files=files, data=fields).text.count("boom") == 2


def test_language_is_that_of_the_speech_after_any_silence(client: httpx2.Client) -> None:
    def detected(samples: Any, **query: str) -> Any:
        files = {"audio_file": ("audio_file", pcm16(samples))}
        return client.post("/detect-language", params=BARE | query, files=files).json()

    spanish = {"detected_language": "spanish", "language_code": "es", "confidence": 0.75}
    assert detected(np.concatenate([np.tile(QUIET, 100), LOUD])) == spanish
    assert detected(SPEECH, detect_lang_offset="2", detect_lang_length="1") == spanish
    assert detected(QUIET) == {"detected_language": "Unknown", "language_code": "und", "confidence": 0.0}


def test_detection_hears_no_more_than_it_needs(start_app: StartApp) -> None:
    server = start_app()
    server.service.recognition.recognizer = LoudnessRecognizer()
    hour = pcm16(np.tile(np.concatenate([LOUD, QUIET]), 1800))
    with httpx2.Client(base_url=server.http_url) as client:
        answer = client.post("/detect-language", params=BARE, files={"audio_file": ("audio_file", hour)})
        assert answer.json()["language_code"] == "es"
        (heard,) = [
            float(line.rpartition(" ")[2])
            for line in client.get("/metrics").text.splitlines()
            if line.startswith('kani_recognized_seconds_total{protocol="whisper"}')
        ]
    assert 30 <= heard < 200


@pytest.mark.parametrize(
    ("call", "file", "query", "words"),
    [
        ("/asr", WAV, {"language": "xx"}, "language: unsupported language 'xx'"),
        ("/asr", WAV, {"output": "doc"}, "output: must be one of json, srt, tsv, txt, vtt"),
        ("/asr", WAV, {"task": "sing"}, "task: must be one of transcribe, translate"),
        ("/asr", b"junk" * 999, {}, "audio_file: is damaged, or not audio"),
        ("/asr", b"abc", BARE, "audio_file: must have whole samples of two bytes"),
        ("/asr", b"", BARE, "audio_file: holds no audio"),
        ("/asr", None, {}, "audio_file: a file is needed"),
        (
            "/detect-language",
            WAV,
            {"detect_lang_offset": "99"},
            "detect_lang_offset: is after the recording's",
        ),
        (
            "/detect-language",
            WAV,
            {"detect_lang_length": "0"},
            "detect_lang_length: must be between 1 and 600",
        ),
        ("/inference", WAV, {"response_format": "lrc"}, "response_format: must be one of"),
        ("/inference", WAV, {"temperature": "2"}, "temperature: must be between 0 and 1"),
        ("/inference", WAV, {"offset_t": "99000"}, "offset_t: is after the recording's end, 3.00 s"),
        ("/inference", None, {}, "file: a file is needed"),
    ],
)
def test_faults_are_named(
    client: httpx2.Client, call: str, file: bytes | None, query: dict[str, str], words: str
) -> None:
    name = ("file" if call == "/inference" else "audio_file") if file is not None else "other"
    answer = client.post(call, params=query, files={name: ("a.wav", file or b"")})
    message = answer.json()["error" if call == "/inference" else "detail"]
    assert answer.status_code == 400
    assert message.startswith(words)


def test_inference_answers_as_whisper_cpp_does(client: httpx2.Client) -> None:
    assert inference(client).json() == {"text": " ¡bum, hm.\n ¡bum, hm.\n"}
    for output, kind, text in (
        ("text", "text/plain; charset=utf-8", " ¡bum, hm.\n ¡bum, hm.\n"),
        ("srt", "application/x-subrip", SRT),
        ("vtt", "text/vtt; charset=utf-8", VTT),
    ):
        answer = inference(client, response_format=output, temperature="0.0", temperature_inc="0.2")
        assert (answer.text, answer.headers["content-type"]) == (text, kind)
        assert answer.headers["x-unused"] == "temperature_inc"
    clip = {"offset_t": "2000", "duration": "1000", "language": "auto", "translate": "true"}
    verbose = inference(client, response_format="verbose_json", **clip).json()
    assert (verbose["task"], verbose["language"], verbose["duration"]) == ("translate", "spanish", 1.0)
    assert verbose["language_probabilities"] == {"es": verbose["detected_language_probability"]}
    (segment,) = verbose["segments"]
    assert [word["word"] for word in segment["words"]] == [" ¡boom,", " hm."]


def test_models_of_speaches_are_there_and_stay(client: httpx2.Client) -> None:
    name = "Systran/faster-whisper-small"
    answer = client.post(f"/v1/models/{name}")
    assert (answer.status_code, answer.text) == (201, f"Model '{name}' already exists")
    assert answer.headers["content-type"].startswith("text/plain")
    answer = client.delete("/v1/models/whisper-1")
    assert answer.status_code == 200 and answer.json()["deleted"] is False


def test_key_may_be_the_password_of_the_address(start_app: StartApp) -> None:
    server = start_app(KANI_API_KEYS=KEY, KANI_ALLOWED_HOSTS="example.org")
    server.service.recognition.recognizer = LoudnessRecognizer()
    with httpx2.Client(base_url=server.http_url, headers={"host": "example.org"}) as client:
        assert client.get("/status").json()["version"].startswith("Kani-TTS server ")
        refused = asr(client)
        assert refused.status_code == 401 and "a key is needed" in refused.json()["detail"]
        for user, password, status in (("x", "wrong", 401), ("x", KEY, 200), ("", KEY, 200), (KEY, "", 401)):
            client.auth = (user, password)
            assert asr(client).status_code == status
    with httpx2.Client(base_url=server.http_url, headers={"host": "example.org"}) as client:
        for broken in ("Basic", "Basic %%%", "Basic " + base64.b64encode(b"\xff:\xff").decode()):
            client.headers["authorization"] = broken
            assert asr(client).status_code == 401
