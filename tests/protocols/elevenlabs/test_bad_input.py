"""Errors of ElevenLabs' calls and WebSockets: the shape, frames and close codes of the service's own."""

import json
import logging
import time
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from kani.protocols.elevenlabs.formats import FORMATS
from kani.protocols.elevenlabs.models import MODELS
from tests.clients.elevenlabs.wire import BOS, EOS, Client, Message, connect_client, connect_multi
from tests.conftest import StartServer
from tests.protocols.conftest import Serve
from tests.protocols.elevenlabs.test_websocket import HELLO, open_context
from tests.support.servers.app_server import KEY, THREAD, AppServer, StartApp

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


FORMS: list[tuple[bytes | dict[str, Any], str, str]] = [
    *((body, "missing", "text") for body in ({}, {"text": None}, {"model_id": "eleven_v3"})),
    *(
        ({"text": "Hola."} | {field: value}, error_type, field)
        for field, values, error_type in (
            ("text", [5, ["a"], True], "string_type"),
            ("model_id", [{"a": 1}], "string_type"),
            ("language_code", [5], "string_type"),
            ("seed", ["7", 1.5, True], "int_type"),
            ("voice_settings", [[1], "fast"], "dict_type"),
            ("previous_text", [5], "string_type"),
            ("next_request_ids", ["a"], "list_type"),
            ("use_pvc_as_ivc", ["yes"], "bool_type"),
            ("pronunciation_dictionary_locators", [{}], "list_type"),
        )
        for value in values
    ),
    *(
        (body, "json_invalid", "")
        for body in (
            *(b"", b"{", b"5", b'"text"', b"[]", b"\xff\xfe"),
            *(b'{"text": NaN}', b'{"text": "a"', b"text=Hola"),
        )
    ),
]
TOLD = {"missing": "Field required", "json_invalid": "JSON decode error"}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("body", "error_type", "field"), FORMS, ids=lambda value: ascii(value)[:24])
def test_wrong_form_is_422(
    client: httpx.Client, call: str, body: bytes | dict[str, Any], error_type: str, field: str
) -> None:
    answer = client.post(PATH + call, **{"content" if isinstance(body, bytes) else "json": body})  # type: ignore[arg-type]
    assert answer.status_code == 422, answer.text
    [error] = answer.json()["detail"]
    assert (error["type"], error["loc"]) == (error_type, ["body", *([field] if field else [])])
    assert error["msg"].startswith(TOLD.get(error_type, "Input should be a valid "))
    assert error_type != "missing" or error["input"] is None


def test_type_errors_are_all_reported_and_long_bodies_unread(client: httpx.Client) -> None:
    answer = client.post(PATH, json={"text": 5, "seed": "x" * 100_000, "next_text": []})
    assert {error["loc"][1] for error in answer.json()["detail"]} == {"text", "seed", "next_text"}
    assert len(answer.content) < 2000
    for more in (b'"b": ' + b"[" * 100_000 + b"]" * 100_000, b'"x": [' + b"0," * 200_000 + b"0]"):
        answer = client.post(PATH, content=b'{"text": "a", ' + more + b"}")
        detail_of(answer, 400, "invalid_request", "validation_error")


@pytest.mark.parametrize(
    ("param", "value", "code"),
    [
        ("text", "", "invalid_text"),
        ("text", " \n\t", "invalid_text"),
        ("text", "a" * 40_001, "max_character_limit_exceeded"),
        ("text", "a b " * 250_000, "max_character_limit_exceeded"),
        ("model_id", "gpt-4o-mini-tts", "unsupported_model"),
        ("model_id", "", "unsupported_model"),
        ("language_code", "xx", "unsupported_language"),
        ("seed", -1, "invalid_request"),
        ("seed", 2**32, "invalid_request"),
        ("apply_text_normalization", "maybe", "invalid_request"),
        ("voice_settings.speed", 1.3, "invalid_voice_settings"),
        ("voice_settings.similarity_boost", "a", "invalid_voice_settings"),
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
    server = start_app(KANI_MAX_TEXT="30")
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
    sizes = [("page_size", value) for value in ("0", "101", "ten", "²", "9" * 5000)]
    for param, value in (*sizes, ("next_page_token", "-1"), ("search", "x" * 201)):
        answer = client.get("/v2/voices", params={param: value})
        assert detail_of(answer, 400, "invalid_request", "validation_error")["param"] == param


@pytest.mark.parametrize(
    "call",
    [
        *("POST /v1/text-to-speech/ef_dora/stream", "GET /v1/voices", "GET /v2/voices", "GET /v1/user"),
        *("POST /v1/voices/add", "DELETE /v1/voices/ana", "POST /v1/voices/ana/edit"),
        "GET /v1/voices/ana/samples/x/audio",
    ],
)
@pytest.mark.parametrize("headers", [{}, {"xi-api-key": "wrong"}])
def test_request_without_key_is_401(keyed_app: AppServer, call: str, headers: dict[str, str]) -> None:
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


UNREADABLE = (
    "Could not parse input message, make sure it is a json and follows the schema outlined in protocol."
)
INVALID_KEY = {"code": 1008, "error": "invalid_api_key", "message": "Invalid API key"}


async def refused(client: Client, context_id: str | None = None) -> Message:
    """Return the error that ends a connection; its close frame has the same code and sentence."""
    code, reason = await client.receive_until_closed()
    error = client.received(context_id).error
    assert error is not None and list(error) == ["code", "error", "message"]
    assert code == error["code"]
    assert reason == error["message"].encode()[:123].decode(errors="ignore")
    return error


def shape(reason: str, **fields: Any) -> tuple[Message, str, str]:
    return fields, "invalid_input_message", f"{UNREADABLE} ({reason})"


def settings(sentence: str, **given: Any) -> tuple[Message, str, str]:
    return {"text": "a", "voice_settings": given}, "invalid_voice_settings", f"voice_settings.{sentence}"


def lengths(sentence: str, given: object, config: str = "generation_config") -> tuple[Message, str, str]:
    path = f"{config}.chunk_length_schedule"
    return (
        {"text": "a", config: {"chunk_length_schedule": given}},
        "invalid_request",
        f"{path}: must be {sentence}",
    )


@pytest.mark.parametrize(
    ("message", "error", "sentence"),
    [
        ("no json", "invalid_input_message", UNREADABLE),
        (b"{}", "invalid_input_message", f"{UNREADABLE} (binary messages are not supported)"),
        ("[1]", "invalid_input_message", UNREADABLE),
        ("[" * 100_000, "invalid_input_message", UNREADABLE),
        shape("text: must be a string", text=7),
        shape("text: is required"),
        shape("text: is required", text=None),
        shape("flush: must be true or false", text="a", flush="yes"),
        shape("try_trigger_generation: must be true or false", text="a", try_trigger_generation=1),
        shape("context_id: too long (at most 200 characters)", text="a", context_id="x" * 201),
        shape("generation_config: must be an object", text="a", generation_config=[50]),
        lengths("between 50 and 500", [50, 501]),
        lengths("a list of numbers", ["50"], "generator_config"),
        lengths("a list of 1 to 100 numbers", []),
        settings("speed: must be between 0.7 and 1.2", speed=1.3),
        settings("stability: must be a number", stability="much"),
        ({"text": "a", "voice_settings": 3}, "invalid_voice_settings", "voice_settings: must be an object"),
        (
            {"text": "a: " * 2_500_000},
            "max_character_limit_exceeded",
            "text: too long (at most 40000 characters).",
        ),
    ],
)
@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
async def test_bad_message_closes_connection_after_spoken_text(
    espeak_app: AppServer, name: str, message: Message | str | bytes, error: str, sentence: str
) -> None:
    async with connect_client(espeak_app.url, name) as client:
        await client.send({"text": HELLO})
        await client.socket.send(json.dumps(message) if isinstance(message, dict) else message)
        assert await refused(client) == {"code": 1008, "error": error, "message": sentence}
        assert client.received().text == HELLO
        assert client.received().final == (name == "multi-stream-input")


async def test_text_after_end_of_input_is_rejected(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send(BOS, {"text": HELLO * 20}, EOS, EOS, {"text": "más"})
        error = await refused(client)
        assert error["error"] == "invalid_input_message"
        assert error["message"] == f"{UNREADABLE} (text: came after the end of the input, the empty string)"
        assert client.received().text == HELLO * 20 and not client.received().final


@pytest.mark.parametrize("voice", ["nobody", "../../etc/passwd", "ñ" * 30, "custom:nobody"])
async def test_unknown_voice_is_rejected_at_first_text(espeak_app: AppServer, voice: str) -> None:
    async with connect_client(espeak_app.url, voice=voice.replace("/", "%2F")) as client:
        # The pong comes after all that the server has to say by then.
        await (await client.socket.ping())
        await client.send(BOS)
        error = await refused(client)
        assert error["error"] == "voice_id_does_not_exist" and error["code"] == 1008
        assert error["message"].endswith(" does not exist.")


@pytest.mark.parametrize(
    ("param", "value", "code", "sentence"),
    [
        ("model_id", "eleven_telepathic_v9", "unsupported_model", "eleven_flash_v2_5"),
        ("output_format", "wav_44100", "invalid_output_format", "pcm_22050"),
        ("language_code", "nonsense", "unsupported_language", "nonsense"),
        ("inactivity_timeout", "soon", "invalid_request", "must be a number"),
        ("inactivity_timeout", "0", "invalid_request", "must be at least 1"),
        ("inactivity_timeout", "nan", "invalid_request", "must be a number"),
        ("seed", "1.5", "invalid_request", "must be a whole number"),
        ("seed", "4294967296", "invalid_request", "must be between 0 and 4"),
        ("apply_text_normalization", "maybe", "invalid_request", "must be one of auto, on, off"),
        ("auto_mode", "perhaps", "invalid_request", "must be true or false"),
    ],
)
async def test_bad_query_is_rejected_before_upgrade(
    espeak_app: AppServer, param: str, value: str, code: str, sentence: str
) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with connect_client(espeak_app.url, **{param: value}):
            pass
    response = caught.value.response
    assert response.status_code == 400 and response.body is not None
    detail = json.loads(response.body)["detail"]
    assert (detail["code"], detail["status"], detail["param"]) == (code, code, param)
    assert detail["type"] == "validation_error" and sentence in detail["message"] and detail["request_id"]


async def test_unknown_fields_and_parameters_are_ignored(espeak_app: AppServer) -> None:
    async with connect_client(
        espeak_app.url, foo="bar", inactivity_timeout=300, enable_logging="x"
    ) as client:
        await client.send({"text": HELLO, "foo": {"bar": []}, "voice_settings": {"baz": 7}}, EOS)
        assert (await client.receive_until_closed())[0] == 1000


@pytest.mark.alone
async def test_inactivity_closes_connection_after_spoken_text(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url, inactivity_timeout=1) as client:
        await client.send(BOS, {"text": "Hola, esto"})
        began = time.monotonic()
        assert await refused(client) == {
            "code": 1008,
            "error": "input_timeout_exceeded",
            "message": "Have not received a new text input within the timeout of 1.0 seconds. Streaming "
            "input terminated. Please make sure to either feed the input in the timely manner, or to send "
            'the end of input text (empty string "") when done.',
        }
        assert time.monotonic() - began > 0.9
        assert client.received().text == "Hola, esto "


async def test_sixth_context_closes_connection(espeak_app: AppServer) -> None:
    async with connect_multi(espeak_app.url) as client:
        for number in range(6):
            await client.send(*open_context(f"c{number}", HELLO))
            if number == 0:
                await client.send({"context_id": "c0", "close_context": True})
        await client.send({"text": HELLO, "context_id": "c6"})
        assert (await refused(client))["error"] == "max_active_conversations"
        error = client.received().error
        assert error is not None and error["message"] == (
            "Maximum simultaneous contexts per WebSocket connection exceeded (5). Please close an existing "
            "context before opening a new one."
        )
        assert all(client.received(f"c{number}").text == HELLO for number in range(6))
        assert all(client.received(f"c{number}").final for number in range(6))


@pytest.mark.parametrize("field", ["xi_api_key", "xi-api-key", "authorization"])
@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
async def test_first_message_contains_key(keyed_app: AppServer, name: str, field: str) -> None:
    key = f"Bearer {KEY}" if field == "authorization" else KEY
    async with connect_client(keyed_app.url, name) as client:
        await client.send({"text": HELLO, "flush": True, field: key})
        while not client.received().text.endswith("prueba"):
            assert "error" not in await client.receive_speech()


@pytest.mark.parametrize("key", [KEY, "wrong"])
@pytest.mark.parametrize("place", ["xi-api-key", "Authorization", "authorization", "single_use_token"])
async def test_handshake_contains_key(keyed_app: AppServer, place: str, key: str) -> None:
    shown: dict[str, Any] = {
        "xi-api-key": {"headers": {"xi-api-key": key}},
        "Authorization": {"headers": {"Authorization": f"Bearer {key}"}},
    }.get(place, {place: key})
    async with connect_client(keyed_app.url, **shown) as client:
        if key == "wrong":
            assert await refused(client) == INVALID_KEY
            return
        await client.send({"text": HELLO}, EOS)
        assert (await client.receive_until_closed())[0] == 1000


@pytest.mark.parametrize("message", [{"text": " "}, {"text": " ", "xi_api_key": "other"}, {"text": "a" * 99}])
@pytest.mark.parametrize("name", ["stream-input", "multi-stream-input"])
async def test_message_without_key_closes(keyed_app: AppServer, name: str, message: Message) -> None:
    async with connect_client(keyed_app.url, name, voice="nobody") as client:
        await client.send(message, {"text": HELLO, "xi_api_key": KEY}, EOS)
        assert await refused(client) == INVALID_KEY
        assert client.received().parts == []


async def test_engine_failure_keeps_audio_before_it(serve: Serve) -> None:
    server = await serve()
    async with connect_client(server.url, voice="tone_es") as client:
        await client.send({"text": "uno dos. kaputt. tres. "}, EOS)
        error = {"code": 1011, "error": "internal_server_error", "message": "the tone broke"}
        assert await refused(client) == error
        assert client.received().text.startswith("uno dos") and client.received().audio


async def test_log_contains_no_key(keyed_app: AppServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for shown in ({"headers": {"xi-api-key": KEY}}, {"authorization": KEY}, {}):
        async with connect_client(keyed_app.url, **shown) as client:
            await client.send({"text": HELLO, "xi_api_key": KEY}, EOS)
            assert (await client.receive_until_closed())[0] == 1000
    # A server process takes keys out of uvicorn's own lines (tests/server/test_logs.py).
    server = [each for each in caplog.records if each.threadName == THREAD and "uvicorn" not in each.name]
    assert server and not any(KEY in each.getMessage() for each in server)
