"""Errors of ElevenLabs' HTTP calls, in the shape of the service's own."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from kani.protocols.elevenlabs.formats import FORMATS
from kani.protocols.elevenlabs.models import MODELS
from tests.conftest import StartServer
from tests.support.app_server import AppServer, StartApp

PATH = "/v1/text-to-speech/espeak:es"
CALLS = ["", "/stream", "/with-timestamps", "/stream/with-timestamps"]


def detail_of(answer: httpx.Response, status: int, code: str, error_type: str) -> dict[str, Any]:
    """Return the single error of an answer; all its fields are as they should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"detail"}
    detail: dict[str, Any] = answer.json()["detail"]
    assert detail.keys() - {"param"} == {"type", "code", "message", "status", "request_id"}
    assert (detail["code"], detail["status"], detail["type"]) == (code, code, error_type)
    assert detail["request_id"] == answer.headers["x-request-id"]
    return detail


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "voice", ["nobody", "custom:nobody", "..%2f..%2fetc%2fpasswd", "%00", "x" * 5000, "%ff"]
)
def test_unknown_voice_is_404(client: httpx.Client, call: str, voice: str) -> None:
    answer = client.post(f"/v1/text-to-speech/{voice}{call}", json={"text": "Hola."})
    if "%2f" in voice:
        assert answer.status_code == 404
        return
    detail = detail_of(answer, 404, "voice_not_found", "not_found")
    assert detail["param"] == "voice_id" and len(detail["message"]) < 300
    assert voice != "nobody" or detail["message"] == "A voice with voice_id 'nobody' was not found."


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("body", [{}, {"text": None}, {"model_id": "eleven_v3"}])
def test_missing_text_is_422(client: httpx.Client, call: str, body: dict[str, Any]) -> None:
    answer = client.post(PATH + call, json=body)
    missing = {"type": "missing", "loc": ["body", "text"], "msg": "Field required", "input": None}
    assert (answer.status_code, answer.json()) == (422, {"detail": [missing]})


@pytest.mark.parametrize(
    ("field", "value", "error_type"),
    [
        ("text", 5, "string_type"),
        ("text", ["a"], "string_type"),
        ("text", True, "string_type"),
        ("model_id", {"a": 1}, "string_type"),
        ("language_code", 5, "string_type"),
        ("seed", "7", "int_type"),
        ("seed", 1.5, "int_type"),
        ("seed", True, "int_type"),
        ("voice_settings", [1], "dict_type"),
        ("voice_settings", "fast", "dict_type"),
        ("previous_text", 5, "string_type"),
        ("next_request_ids", "a", "list_type"),
        ("use_pvc_as_ivc", "yes", "bool_type"),
        ("pronunciation_dictionary_locators", {}, "list_type"),
    ],
)
def test_field_of_wrong_type_is_422(client: httpx.Client, field: str, value: Any, error_type: str) -> None:
    answer = client.post(PATH, json={"text": "Hola."} | {field: value})
    assert answer.status_code == 422
    [error] = answer.json()["detail"]
    assert (error["type"], error["loc"]) == (error_type, ["body", field])
    assert error["msg"].startswith("Input should be a valid ")


def test_all_type_errors_are_reported_shortened(client: httpx.Client) -> None:
    answer = client.post(PATH, json={"text": 5, "seed": "x" * 100_000, "next_text": []})
    assert {error["loc"][1] for error in answer.json()["detail"]} == {"text", "seed", "next_text"}
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"5", b'"text"', b"[]", b"\xff\xfe", b'{"text": NaN}', b'{"text": "a"', b"text=Hola"),
        b'{"text": "a", "b": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"text": "a", "x": [' + b"0," * 200_000 + b"0]}",
    ],
    ids=lambda body: ascii(body)[:24],
)
def test_malformed_body_is_422(client: httpx.Client, body: bytes) -> None:
    answer = client.post(PATH, content=body)
    if len(body) > 1000:
        detail_of(answer, 400, "invalid_request", "validation_error")
        return
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["detail"]
    assert (error["type"], error["loc"], error["msg"]) == ("json_invalid", ["body"], "JSON decode error")


@pytest.mark.parametrize(
    ("param", "value", "code"),
    [
        ("text", "", "invalid_text"),
        ("text", " \n\t", "invalid_text"),
        ("text", "a" * 40_001, "max_character_limit_exceeded"),
        ("text", "😀" * 40_001, "max_character_limit_exceeded"),
        ("text", "a b " * 250_000, "max_character_limit_exceeded"),
        ("model_id", "gpt-4o-mini-tts", "unsupported_model"),
        ("model_id", "", "unsupported_model"),
        ("language_code", "xx", "unsupported_language"),
        ("language_code", "es; DROP", "unsupported_language"),
        ("seed", -1, "invalid_request"),
        ("seed", 2**32, "invalid_request"),
        ("apply_text_normalization", "maybe", "invalid_request"),
        ("voice_settings.speed", 1.3, "invalid_voice_settings"),
        ("voice_settings.speed", 0.5, "invalid_voice_settings"),
        ("voice_settings.stability", 2, "invalid_voice_settings"),
        ("voice_settings.style", -1, "invalid_voice_settings"),
        ("voice_settings.similarity_boost", "a", "invalid_voice_settings"),
        ("voice_settings.use_speaker_boost", 1, "invalid_voice_settings"),
    ],
    ids=lambda value: ascii(value)[:24],
)
@pytest.mark.parametrize("call", CALLS)
def test_value_out_of_range_is_rejected_by_name(
    client: httpx.Client, call: str, param: str, value: Any, code: str
) -> None:
    field, _, setting = param.partition(".")
    changes = {field: {setting: value} if setting else value}
    answer = client.post(PATH + call, json={"text": "Hola."} | changes)
    detail = detail_of(answer, 400, code, "validation_error")
    assert detail["param"] == param and detail["message"].startswith(param)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "name", ["mp3", "mp3_48000_128", "flac_44100", "pcm_11025", "MP3_44100_128", "x" * 5000]
)
def test_unknown_format_is_rejected_with_list(client: httpx.Client, call: str, name: str) -> None:
    answer = client.post(PATH + call, json={"text": "Hola."}, params={"output_format": name})
    detail = detail_of(answer, 400, "invalid_output_format", "validation_error")
    listed = detail["message"].partition("must be one of ")[2].split(", ")
    assert listed == [name for name, form in FORMATS.items() if form.codec != "wav" or "stream" not in call]


def test_text_limit_is_a_setting(start_app: StartApp) -> None:
    server = start_app(KANI_ELEVENLABS_MAX_TEXT="30", KANI_MAX_TEXT="5")
    with httpx.Client(base_url=server.http_url, timeout=300) as client:
        assert client.post(PATH, json={"text": "Hola, ¿qué tal estás hoy?"}).status_code == 200
        refused = client.post(PATH, json={"text": "a" * 31})
        detail = detail_of(refused, 400, "max_character_limit_exceeded", "validation_error")
        assert detail["message"] == "text: too long (at most 30 characters)."
        models = client.get("/v1/models", headers={"xi-api-key": "any"}).json()
    assert {model["maximum_text_length_per_request"] for model in models} == {30}


def test_rate_limit_is_429(start_app: StartApp) -> None:
    with httpx.Client(base_url=start_app(KANI_RATE_PER_MINUTE="1").http_url, timeout=300) as client:
        assert client.post(PATH, json={"text": "Hola."}).status_code == 200
        answer = client.post(PATH, json={"text": "Hola."})
    detail_of(answer, 429, "too_many_concurrent_requests", "rate_limit_error")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("name", [*MODELS, None])
def test_every_model_is_accepted(client: httpx.Client, name: str | None) -> None:
    body = {"text": "Hola."} if name is None else {"text": "Hola.", "model_id": name}
    assert client.post(PATH, json=body, params={"output_format": "pcm_8000"}).status_code == 200


def test_unknown_paths_and_queries_are_rejected(client: httpx.Client) -> None:
    for path in ("/v1/voices/nobody", "/v1/voices/nobody/settings", "/v1/voices/custom:..%5cx"):
        detail_of(client.get(path), 404, "voice_not_found", "not_found")
    assert client.get(PATH).status_code == 405
    for query in ("page_size=0", "page_size=x", "next_page_token=x", "search=" + "x" * 201):
        detail = detail_of(client.get(f"/v2/voices?{query}"), 400, "invalid_request", "validation_error")
        assert detail["param"] == query.partition("=")[0]


@pytest.mark.parametrize(
    "call",
    ["POST /v1/text-to-speech/ef_dora/stream", "GET /v1/voices", "GET /v2/voices", "GET /v1/user"],
)
@pytest.mark.parametrize("headers", [{}, {"xi-api-key": "wrong"}])
def test_request_without_key_is_401_of_protocol(
    keyed_app: AppServer, call: str, headers: dict[str, str]
) -> None:
    method, path = call.split()
    with httpx.Client(base_url=keyed_app.http_url) as client:
        answer = client.request(method, path, headers=headers, json={"text": "Hola."})
    detail = answer.json()["detail"]
    assert answer.status_code == 401 and detail["type"] == "authentication_error"
    assert (detail["code"], detail["status"]) == ("unauthorized", "invalid_api_key")
    assert detail["request_id"] == answer.headers["x-request-id"]


def test_unknown_operator_voice_prevents_start(start_server: StartServer) -> None:
    voices = "21m00Tcm4TlvDq8ikWAM=nobody"
    server = start_server("--engine", "espeak", ready=False, KANI_ELEVENLABS_VOICES=voices)
    assert server.wait() == 2
    complaint = server.terminal.splitlines()[-1]
    assert complaint == "start_websocket_server.py: KANI_ELEVENLABS_VOICES: unknown voice 'nobody'"
