"""Errors of ElevenLabs' WebSockets: the frames and close codes of the service's own."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.clients.elevenlabs.wire import BOS, EOS, Client, Message, connect_client, connect_multi
from tests.protocols.conftest import Serve
from tests.protocols.elevenlabs.test_websocket import HELLO, open_context
from tests.support.app_server import KEY, THREAD, AppServer

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
            {"text": "a:" * 4_000_000},
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
        ("language_code", "xx", "unsupported_language", "xx"),
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
async def test_message_without_valid_key_closes_connection(
    keyed_app: AppServer, name: str, message: Message
) -> None:
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
