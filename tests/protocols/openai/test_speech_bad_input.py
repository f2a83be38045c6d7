"""Invalid speech requests, in OpenAI's error object."""

from typing import Any

import httpx
import pytest

from tests.support.servers.app_server import StartApp

SPEECH, CAPTIONS, CAPTIONED = "/v1/audio/speech", "/v1/audio/captions", "/dev/captioned_speech"


def error_of(answer: httpx.Response, status: int, param: str | None, code: str | None) -> str:
    """Return the message of an answer; every other field is as it should be."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert answer.json().keys() == {"error"} and error.keys() == {"message", "type", "param", "code"}
    assert (error["param"], error["code"]) == (param, code)
    assert error["type"] == ("server_error" if status >= 500 else "invalid_request_error")
    assert answer.headers["x-request-id"]
    assert answer.headers.get("x-should-retry") == ("false" if status < 429 else None)
    assert len(error["message"]) < 400
    return str(error["message"])


BAD = [
    ({"input": None}, "input", "missing_required_parameter", "input: is needed"),
    ({"input": ""}, "input", "string_below_min_length", "empty"),
    ({"input": " \n"}, "input", "string_below_min_length", "empty"),
    ({"input": 5}, "input", "invalid_type", "a string"),
    ({"input": ["a"]}, "input", "invalid_type", "a string"),
    ({"input": "a" * 100_001}, "input", "string_above_max_length", "100000"),
    ({"model": 5}, "model", "invalid_type", "a string"),
    ({"voice": 5}, "voice", "invalid_type", "string"),
    ({"voice": {"id": 5}}, "voice.id", "invalid_type", "a string"),
    ({"voice": {}}, "voice.id", "missing_required_parameter", "is needed"),
    ({"voice": "nobody"}, "voice", "voice_not_found", "GET /v1/audio/voices"),
    ({"voice": {"id": "voice_1"}}, "voice", "voice_not_found", "voice_1"),
    ({"voice": "../../etc/passwd"}, "voice", "voice_not_found", "passwd"),
    ({"voice": "x" * 201}, "voice", "string_above_max_length", "200"),
    ({"voice": "espeak:es+espeak:en-us"}, "voice", "invalid_value", "mix"),
    ({"voice": "espeak:es+nobody"}, "voice", "voice_not_found", "nobody"),
    ({"voice": "espeak:es(0)+espeak:fr"}, "voice", "invalid_value", "part of a mix"),
    ({"voice": "+".join("abcdefghi")}, "voice", "invalid_value", "at most 8"),
    ({"speed": "fast"}, "speed", "invalid_type", "a number"),
    ({"speed": True}, "speed", "invalid_type", "a number"),
    ({"speed": 0}, "speed", "invalid_value", "between 0.25 and 4"),
    ({"speed": 4.01}, "speed", "invalid_value", "between 0.25 and 4"),
    ({"speed": 10**400}, "speed", "invalid_value", "between 0.25 and 4"),
    ({"instructions": {}}, "instructions", "invalid_type", "a string"),
    ({"stream_format": 1}, "stream_format", "invalid_type", "audio, sse"),
    ({"language": "klingonish"}, "language", "unsupported_language", "klingonish"),
    ({"lang_code": "qq"}, "lang_code", "unsupported_language", "qq"),
    ({"allow_voice_tags": "yes"}, "allow_voice_tags", "invalid_type", "true or false"),
    ({"allow_voice_tags": True, "input": "a [voice:nobody] b"}, "voice", "voice_not_found", "nobody"),
    ({"allow_voice_tags": True, "input": "a [pause:soon] b"}, "input", "invalid_value", "length"),
    ({"allow_voice_tags": True, "input": "a [pause:11s] b"}, "input", "invalid_value", "10 s"),
    ({"allow_voice_tags": True, "input": "[pause:1s]"}, "input", "string_below_min_length", "empty"),
    ({"allow_voice_tags": True, "input": "a [pause:1s]" * 1001}, "input", "invalid_value", "1000"),
    ({"allow_voice_tags": True, "input": "[rate:fast] a"}, "input", "invalid_value", "between 0.25 and 4"),
    ({"allow_voice_tags": True, "input": "[rate:0.2] a"}, "input", "invalid_value", "between 0.25 and 4"),
    ({"sample_rate": 7999}, "sample_rate", "invalid_value", "between 8000 and 48000"),
    ({"sample_rate": 48_001}, "sample_rate", "invalid_value", "between 8000 and 48000"),
    ({"sample_rate": 24_000.5}, "sample_rate", "invalid_value", "whole number"),
    ({"sample_rate": "24000"}, "sample_rate", "invalid_type", "a number"),
    ({"volume_multiplier": -1}, "volume_multiplier", "invalid_value", "between 0 and 10"),
    ({"volume_multiplier": "loud"}, "volume_multiplier", "invalid_type", "a number"),
    ({"stream": "no"}, "stream", "invalid_type", "true or false"),
    ({"voice_aliases": []}, "voice_aliases", "invalid_type", "an object"),
    ({"voice_aliases": {f"a{n}": "x" for n in range(101)}}, "voice_aliases", "invalid_value", "at most 100"),
    ({"voice_aliases": {"a": {"rate": 1}}}, "voice_aliases.voice", "missing_required_parameter", "needed"),
    ({"voice_aliases": {"a": {"voice": "x", "rate": 9}}}, "voice_aliases.rate", "invalid_value", "4"),
    ({"voice_aliases": {"a": "nobody"}, "voice": "a"}, "voice", "voice_not_found", "nobody"),
]


FORMAT, FORMATS = "response_format", "mp3, opus, aac, flac, wav, pcm"
OF_PATHS = [
    *((path, *row) for path in (SPEECH, CAPTIONS, CAPTIONED) for row in BAD),
    *(
        (path, {FORMAT: value}, FORMAT, "invalid_value", FORMATS)
        for path in (SPEECH, CAPTIONED)
        for value in ("ogg", "../mp3", "MP4")
    ),
    (SPEECH, {FORMAT: "mp3", "sample_rate": 8000}, "sample_rate", "invalid_value", "16000"),
    (SPEECH, {"stream_format": "websocket"}, "stream_format", "invalid_value", "audio, sse"),
    (CAPTIONS, {"format": "ass"}, "format", "invalid_value", "json, srt, vtt"),
]


@pytest.mark.parametrize(
    ("path", "body", "param", "code", "words"), OF_PATHS, ids=lambda value: str(value)[:40]
)
def test_invalid_field_is_named(
    client: httpx.Client, path: str, body: dict[str, Any], param: str, code: str, words: str
) -> None:
    answer = client.post(path, json={"input": "Hello.", "model": "tts-1", "voice": "alloy"} | body)
    assert words in error_of(answer, 400, param, code)


FIRST = {"voice": "espeak:en", "text": "Who left the gate open?"}


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({}, "turns", "must be a list of 1 to 1000"),
        ({"turns": []}, "turns", "must be a list of 1 to 1000"),
        ({"turns": [FIRST] * 1001}, "turns", "must be a list of 1 to 1000"),
        ({"inputs": "Hello."}, "inputs", "must be a list"),
        ({"turns": [FIRST, "Hello."]}, "turns[1]", "must be {"),
        ({"turns": [{"text": "Hello."}]}, "turns[0].voice", "is needed"),
        ({"turns": [FIRST, FIRST | {"text": " "}]}, "turns[1].text", "is empty"),
        ({"turns": [FIRST | {"text": "[pause:1h]"}]}, "input", "has no length"),
        ({"turns": [FIRST, FIRST | {"voice": "nobody"}]}, "voice", "nobody"),
        ({"turns": [FIRST], "pause_between_turns": 11}, "pause_between_turns", "between 0 and 10"),
        ({"turns": [FIRST], "pause_between_turns": "1"}, "pause_between_turns", "must be a number"),
        ({"turns": [FIRST | {"text": "a" * 100_001}]}, "input", "100000"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_turns_are_named_before_anything_is_spoken(
    client: httpx.Client, fields: dict[str, Any], param: str, told: str
) -> None:
    answer = client.post("/dev/dialogue", json=fields)
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["param"] == param and told in error["message"], error


@pytest.mark.parametrize("path", [SPEECH, CAPTIONS, CAPTIONED])
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"a"', b"\xff", b"[" * 5000, b'{"speed": NaN, "input": "a"}', b"null"]
)
def test_body_that_is_no_json_object_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    error_of(client.post(path, content=body), 400, None, "invalid_json")


def test_half_a_surrogate_pair_comes_back_as_it_came(client: httpx.Client) -> None:
    answer = client.post(SPEECH, content=b'{"input": "a", "voice": "\\ud83d"}')
    assert "\\ud83d" in error_of(answer, 400, "voice", "voice_not_found")
    assert client.post(SPEECH, content=b'{"input": "a \\ud83d b"}').status_code == 200
    assert client.post(CAPTIONS, content=b'{"input": "a \\ud83d b"}').status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", SPEECH, 405, "method_not_allowed"),
        ("POST", "/v1/audio/nothing", 404, "not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
    ],
)
def test_unknown_call_fails(client: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert (answer.json()["error"]["code"], answer.status_code) == (code, status)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        *(
            (f"/v1/{name}", "no language model")
            for name in "chat/completions completions responses responses/resp_1/cancel embeddings".split()
        ),
        ("/v1/images/generations", "no language model"),
        ("/v1/files", "no files"),
        ("/v1/models/tts-1", "not fetched or removed"),
        ("/dev/phonemize", "/dev/captioned_speech, dialogue and ssml"),
        ("/dev/generate_from_phonemes", "/dev/captioned_speech, dialogue and ssml"),
    ],
)
def test_other_calls_of_openais_clients_get_its_shape(client: httpx.Client, path: str, reason: str) -> None:
    answer = client.post(path, json={"model": "gpt-5", "messages": []})
    error = answer.json()["error"]
    assert answer.status_code == (405 if path == "/v1/models/tts-1" else 404)
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith(f"POST {path} is not served here") and reason in error["message"]


def test_other_paths_keep_their_shape_and_an_empty_bearer_is_no_key(client: httpx.Client) -> None:
    assert "detail" in client.post("/v1/text-to-dialogue", json={}).json()
    answer = client.post(SPEECH, json={"input": "Hello."}, headers={"authorization": "Bearer"})
    assert answer.status_code == 200


def test_wrong_key_is_refused_and_the_right_one_is_not(start_app: StartApp) -> None:
    server = start_app(KANI_HOST="0.0.0.0", KANI_API_KEYS="right")
    with httpx.Client(base_url=server.http_url) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer"}):
            error = client.post(SPEECH, json={"input": "Hello."}, headers=headers).json()["error"]
            assert (error["code"], error["type"]) == ("invalid_api_key", "invalid_request_error")
        headers = {"authorization": "Bearer right"}
        assert client.post(SPEECH, json={"input": "Hello."}, headers=headers).status_code == 200
