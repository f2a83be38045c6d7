"""What ElevenLabs' HTTP calls answer where something is wrong: in the service's own shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from protocols.elevenlabs.formats import FORMATS
from protocols.elevenlabs.models import MODELS
from server import settings
from server.connections import Connections
from server.metrics import Metrics
from server.network.upload_budget import UploadBudget
from tests.conftest import ServerProcess, StartServer
from websocket_server import build_service, create_app

PATH = "/v1/text-to-speech/espeak:es"
CALLS = ["", "/stream", "/with-timestamps", "/stream/with-timestamps"]


@pytest.fixture(scope="module")
def client(espeak_server: ServerProcess) -> Iterator[httpx.Client]:
    """A client that never saw the service's documentation."""
    with httpx.Client(base_url=espeak_server.http_url, timeout=300) as client:
        yield client


def detail_of(answer: httpx.Response, status: int, code: str, kind: str) -> dict[str, Any]:
    """The one error of an answer, which is whole and as it should be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.json().keys() == {"detail"}
    detail: dict[str, Any] = answer.json()["detail"]
    assert detail.keys() - {"param"} == {"type", "code", "message", "status", "request_id"}
    assert (detail["code"], detail["status"], detail["type"]) == (code, code, kind)
    assert detail["request_id"] == answer.headers["x-request-id"]
    return detail


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "voice", ["nobody", "custom:nobody", "..%2f..%2fetc%2fpasswd", "%00", "x" * 5000, "%ff"]
)
def test_an_unknown_voice(client: httpx.Client, call: str, voice: str) -> None:
    """Is not found, whatever stands in its place."""
    answer = client.post(f"/v1/text-to-speech/{voice}{call}", json={"text": "Hola."})
    if "%2f" in voice:
        assert answer.status_code == 404
        return
    detail = detail_of(answer, 404, "voice_not_found", "not_found")
    assert detail["param"] == "voice_id" and len(detail["message"]) < 300
    if voice == "nobody":
        assert detail["message"] == "A voice with voice_id 'nobody' was not found."


@pytest.mark.parametrize("call", CALLS)
def test_a_text_is_needed(client: httpx.Client, call: str) -> None:
    """As FastAPI says it, which the service is made of."""
    for body in ({}, {"text": None}, {"model_id": "eleven_v3"}):
        answer = client.post(PATH + call, json=body)
        assert answer.status_code == 422
        missing = {"type": "missing", "loc": ["body", "text"], "msg": "Field required", "input": None}
        assert answer.json() == {"detail": [missing]}


@pytest.mark.parametrize(
    ("field", "value", "kind"),
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
def test_a_field_of_another_type(client: httpx.Client, field: str, value: Any, kind: str) -> None:
    """Is named, and where it stands."""
    answer = client.post(PATH, json={"text": "Hola."} | {field: value})
    assert answer.status_code == 422
    [told] = answer.json()["detail"]
    assert (told["type"], told["loc"]) == (kind, ["body", field])
    assert told["msg"].startswith("Input should be a valid ")


def test_all_wrong_fields_are_told_at_once(client: httpx.Client) -> None:
    """And no value comes back at its full length."""
    answer = client.post(PATH, json={"text": 5, "seed": "x" * 100_000, "next_text": []})
    told = answer.json()["detail"]
    assert {error["loc"][1] for error in told} == {"text", "seed", "next_text"}
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"5",
        b'"text"',
        b"[]",
        b"\xff\xfe",
        b'{"text": NaN}',
        b'{"text": "a"',
        b'{"text": "a", "b": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"text=Hola",
    ],
)
def test_a_body_that_is_no_object(client: httpx.Client, body: bytes) -> None:
    """Is said to be no JSON."""
    answer = client.post(PATH, content=body)
    assert answer.status_code in (400, 422), answer.text
    if answer.status_code == 422:
        [told] = answer.json()["detail"]
        assert (told["type"], told["loc"], told["msg"]) == ("json_invalid", ["body"], "JSON decode error")


def test_a_body_of_very_many_values(client: httpx.Client) -> None:
    """Is not even read."""
    body = b'{"text": "a", "x": [' + b"0," * 200_000 + b"0]}"
    detail_of(client.post(PATH, content=body), 400, "invalid_request", "validation_error")


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"text": ""}, "invalid_text", "text"),
        ({"text": " \n\t"}, "invalid_text", "text"),
        ({"model_id": "gpt-4o-mini-tts"}, "unsupported_model", "model_id"),
        ({"model_id": ""}, "unsupported_model", "model_id"),
        ({"language_code": "xx"}, "unsupported_language", "language_code"),
        ({"language_code": "es; DROP"}, "unsupported_language", "language_code"),
        ({"seed": -1}, "invalid_request", "seed"),
        ({"seed": 2**32}, "invalid_request", "seed"),
        ({"apply_text_normalization": "maybe"}, "invalid_request", "apply_text_normalization"),
        ({"voice_settings": {"speed": 1.3}}, "invalid_voice_settings", "voice_settings.speed"),
        ({"voice_settings": {"speed": 0.5}}, "invalid_voice_settings", "voice_settings.speed"),
        ({"voice_settings": {"stability": 2}}, "invalid_voice_settings", "voice_settings.stability"),
        ({"voice_settings": {"style": -1}}, "invalid_voice_settings", "voice_settings.style"),
        (
            {"voice_settings": {"similarity_boost": "a"}},
            "invalid_voice_settings",
            "voice_settings.similarity_boost",
        ),
        (
            {"voice_settings": {"use_speaker_boost": 1}},
            "invalid_voice_settings",
            "voice_settings.use_speaker_boost",
        ),
    ],
)
@pytest.mark.parametrize("call", CALLS)
def test_a_value_out_of_its_range(
    client: httpx.Client, call: str, changes: dict[str, Any], code: str, param: str
) -> None:
    """Is refused by the field's name and its limit, before anything is spoken."""
    answer = client.post(PATH + call, json={"text": "Hola."} | changes)
    detail = detail_of(answer, 400, code, "validation_error")
    assert detail["param"] == param and detail["message"].startswith(param)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "name", ["mp3", "mp3_48000_128", "flac_44100", "pcm_11025", "MP3_44100_128", "x" * 5000]
)
def test_an_unknown_format(client: httpx.Client, call: str, name: str) -> None:
    """Is refused by a list of those there are, WAV among them where the answer is sent whole."""
    answer = client.post(PATH + call, json={"text": "Hola."}, params={"output_format": name})
    detail = detail_of(answer, 400, "invalid_output_format", "validation_error")
    listed = detail["message"].partition("must be one of ")[2].split(", ")
    assert listed == [name for name, form in FORMATS.items() if form.codec != "wav" or "stream" not in call]


def test_too_much_text(client: httpx.Client) -> None:
    """At most 40,000 characters, of whatever width; a megabyte is refused without a look at it."""
    for text in ("a" * 40_001, "😀" * 40_001, "a b " * 250_000):
        answer = client.post(PATH, json={"text": text})
        detail = detail_of(answer, 400, "max_character_limit_exceeded", "validation_error")
        assert detail["message"] == "text: too long (at most 40000 characters)."


def test_the_limit_is_a_setting(start_server: StartServer) -> None:
    """And not the one of other protocols."""
    server = start_server("--engine", "espeak", KANI_ELEVENLABS_MAX_TEXT="30", KANI_MAX_TEXT="5")
    with httpx.Client(base_url=server.http_url, timeout=300) as client:
        assert client.post(PATH, json={"text": "Hola, ¿qué tal estás hoy?"}).status_code == 200
        detail_of(
            client.post(PATH, json={"text": "a" * 31}),
            400,
            "max_character_limit_exceeded",
            "validation_error",
        )
        told = client.get("/v1/models").json()
    assert {model["maximum_text_length_per_request"] for model in told} == {30}


def test_the_rate_is_counted(start_server: StartServer) -> None:
    """Beyond it the client is told to come again."""
    server = start_server("--engine", "espeak", KANI_RATE_PER_MINUTE="1")
    with httpx.Client(base_url=server.http_url, timeout=300) as client:
        assert client.post(PATH, json={"text": "Hola."}).status_code == 200
        answer = client.post(PATH, json={"text": "Hola."})
    detail_of(answer, 429, "too_many_concurrent_requests", "rate_limit_error")
    assert answer.headers["retry-after"] == "1"


def test_voices_named_by_the_operator(start_server: StartServer) -> None:
    """Are spoken, listed by nobody, and looked up under the id that the client has."""
    server = start_server("--engine", "espeak", KANI_ELEVENLABS_VOICES="theirOwnClone1234567=espeak:ar")
    with httpx.Client(base_url=server.http_url, timeout=300) as client:
        path = "theirOwnClone1234567"
        assert client.post(f"/v1/text-to-speech/{path}", json={"text": "مرحبا"}).status_code == 200
        told = client.get(f"/v1/voices/{path}").json()
    assert (told["voice_id"], told["labels"]["language"]) == (path, "ar")


@pytest.mark.parametrize("name", [*MODELS, None])
def test_every_model_speaks(client: httpx.Client, name: str | None) -> None:
    """By the same voices."""
    body = {"text": "Hola."} if name is None else {"text": "Hola.", "model_id": name}
    assert client.post(PATH, json=body, params={"output_format": "pcm_8000"}).status_code == 200


def test_nothing_is_found_where_nothing_is(client: httpx.Client) -> None:
    """Voices, their settings, and calls by another method."""
    for path in ("/v1/voices/nobody", "/v1/voices/nobody/settings", "/v1/voices/custom:..%5cx"):
        detail_of(client.get(path), 404, "voice_not_found", "not_found")
    assert client.get(PATH).status_code == 405
    for query in ("page_size=0", "page_size=x", "next_page_token=x", "search=" + "x" * 201):
        name = query.partition("=")[0]
        detail = detail_of(client.get(f"/v2/voices?{query}"), 400, "invalid_request", "validation_error")
        assert detail["param"] == name


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application in this process; its service is not started, as nothing gets that far."""
    given = {"engine": "espeak", "recognizer": "none", "data_dir": tmp_path}
    chosen = settings.load(given, {"KANI_API_KEYS": "right"}, tmp_path / "none")
    metrics = Metrics("test")
    connections = Connections(chosen.max_connections, metrics.set_connections, chosen.ping_timeout)
    app = create_app(chosen, build_service(chosen, metrics), metrics, connections, UploadBudget())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/text-to-speech/ef_dora/stream"),
        ("GET", "/v1/voices"),
        ("GET", "/v2/voices"),
        ("GET", "/v1/user"),
    ],
)
async def test_a_request_without_a_key_is_refused_in_the_protocols_words(
    guarded: httpx.AsyncClient, method: str, path: str
) -> None:
    """Where a key is needed: 401 with the code by which clients know that it is the key."""
    for headers in ({}, {"xi-api-key": "wrong"}):
        answer = await guarded.request(
            method, path, headers={**headers, "via": "1.1 proxy"}, json={"text": "Hola."}
        )
        detail = answer.json()["detail"]
        assert answer.status_code == 401 and detail["type"] == "authentication_error"
        assert (detail["code"], detail["status"]) == ("unauthorized", "invalid_api_key")
        assert detail["request_id"] == answer.headers["x-request-id"]


def test_a_voice_that_is_none_refuses_the_start(start_server: StartServer) -> None:
    """An id that the operator gave to a voice that is not here is a mistake to be told of at once."""
    server = start_server(
        "--engine", "espeak", ready=False, KANI_ELEVENLABS_VOICES="21m00Tcm4TlvDq8ikWAM=nobody"
    )
    assert server.wait() == 1
    complaint = server.terminal.splitlines()[-1]
    assert complaint == "start_websocket_server.py: KANI_ELEVENLABS_VOICES: unknown voice 'nobody'"
