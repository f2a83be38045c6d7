"""WS /v1/realtime: each invalid event gets its own error, and the connection goes on."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from kani.protocols.openai.realtime.audio_payload import MAX_AUDIO_BYTES, MAX_MESSAGE_BYTES
from tests.clients.openai_realtime import Client, loud, quiet, realtime, text_item
from tests.support.app_server import AppServer, app_server
from tests.support.loudness import PausingRecognizer
from tests.support.serving import serving

MAX_TEXT = 200


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    limits = {"KANI_MAX_TEXT": str(MAX_TEXT), "KANI_MAX_MESSAGE_BYTES": str(MAX_MESSAGE_BYTES)}
    with app_server(tmp_path_factory.mktemp("realtime"), **limits) as running:
        running.service.recognizer = PausingRecognizer()
        yield running


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


def audio_input(**fields: Any) -> dict[str, Any]:
    return update(type="transcription", audio={"input": fields})


def output(**fields: Any) -> dict[str, Any]:
    return update(type="realtime", audio={"output": fields})


def create(**response: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": response}


def append(audio: Any) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": audio}


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


IN, OUT = "session.audio.input", "session.audio.output"
UPLOAD = base64.b64encode(bytes(MAX_AUDIO_BYTES + 3)).decode()
ROWS: list[tuple[Any, str, str | None]] = [
    ("no json", "invalid_json", None),
    ("[]", "invalid_json", None),
    ("null", "invalid_json", None),
    ('{"type": NaN}', "invalid_json", None),
    ("[" * 100_000, "invalid_json", None),
    ('{"type": "response.create", "x": [' + "1," * 100_001 + "1]}", "invalid_json", None),
    (b"\x00\x01", "invalid_json", None),
    ({}, "invalid_value", "type"),
    ({"type": 5}, "invalid_value", "type"),
    ({"type": "no.such.event"}, "invalid_value", "type"),
    ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
    (append(None), "invalid_type", "audio"),
    (append(7), "invalid_type", "audio"),
    (append("###"), "invalid_value", "audio"),
    (append("AAA"), "invalid_value", "audio"),
    (append(base64.b64encode(b"odd").decode()), "invalid_value", "audio"),
    (append(UPLOAD), "audio_too_large", "audio"),
    ({"type": "session.update", "session": "x"}, "invalid_type", "session"),
    (update(type="translation"), "invalid_value", "session.type"),
    (update(type="realtime", audio=5), "invalid_value", "session.audio"),
    (audio_input(format={"type": "audio/mp3"}), "invalid_value", f"{IN}.format.type"),
    (audio_input(format={"type": "audio/pcm", "rate": 16000}), "invalid_value", f"{IN}.format.rate"),
    (audio_input(turn_detection={"type": "x"}), "invalid_value", f"{IN}.turn_detection.type"),
    (audio_input(turn_detection={"threshold": 1.1}), "invalid_value", f"{IN}.turn_detection.threshold"),
    (audio_input(turn_detection={"eagerness": "x"}), "invalid_value", f"{IN}.turn_detection.eagerness"),
    (
        audio_input(turn_detection={"silence_duration_ms": 60_001}),
        "invalid_value",
        f"{IN}.turn_detection.silence_duration_ms",
    ),
    (
        audio_input(turn_detection={"prefix_padding_ms": -1}),
        "invalid_value",
        f"{IN}.turn_detection.prefix_padding_ms",
    ),
    (audio_input(transcription={"model": 5}), "invalid_value", f"{IN}.transcription.model"),
    (audio_input(transcription={"model": "x" * 201}), "invalid_value", f"{IN}.transcription.model"),
    (audio_input(transcription={"language": "xx"}), "unsupported_language", f"{IN}.transcription.language"),
    (audio_input(transcription={"language": "de"}), "unsupported_language", f"{IN}.transcription.language"),
    (audio_input(transcription={"prompt": 5}), "invalid_value", f"{IN}.transcription.prompt"),
    (audio_input(transcription={"prompt": "x" * 4_001}), "invalid_value", f"{IN}.transcription.prompt"),
    (audio_input(transcription={"keywords": ["x"] * 1_001}), "invalid_value", f"{IN}.transcription.keywords"),
    (
        audio_input(transcription={"keywords": ["x" * 101]}),
        "invalid_value",
        f"{IN}.transcription.keywords[0]",
    ),
    (audio_input(transcription={"languages": ["es"] * 21}), "invalid_value", f"{IN}.transcription.languages"),
    (update(input_audio_format="mp3"), "invalid_value", "session.input_audio_format"),
    (output(speed=1.6), "invalid_value", f"{OUT}.speed"),
    (output(speed=0.2), "invalid_value", f"{OUT}.speed"),
    (output(voice=5), "invalid_value", f"{OUT}.voice"),
    (update(type="realtime", tools=[{"type": "function"}]), "unsupported", "session.tools"),
    (update(type="realtime", output_modalities=["text"]), "unsupported", "session.output_modalities"),
    ({"type": "response.create"}, "unsupported", "response.input"),
    (create(instructions="Say hello"), "unsupported", "response.input"),
    (create(input=[]), "unsupported", "response.input"),
    (create(input=[text_item(" \n")]), "unsupported", "response.input"),
    (create(input=[text_item("x", "assistant")]), "unsupported", "response.input"),
    (create(input=[{"type": "function_call_output"}]), "unsupported", "response.input[0].type"),
    (create(input=[text_item("x", "king")]), "invalid_value", "response.input[0].role"),
    (create(input=["x"]), "invalid_value", "response.input[0]"),
    (create(input=[{"type": "item_reference", "id": "x"}]), "item_not_found", "response.input[0].id"),
    (create(input=[text_item("x")] * 257), "invalid_value", "response.input"),
    (create(input=[text_item("x")], tools=[{}]), "unsupported", "response.tools"),
    (create(input=[text_item("x")], metadata={"a": 5}), "invalid_value", "response.metadata[...]"),
    (
        create(input=[text_item("x")], audio={"output": {"speed": 9}}),
        "invalid_value",
        "response.audio.output.speed",
    ),
    (create(input=[text_item("x")], audio={"output": {"voice": "nobody"}}), "voice_not_found", "voice"),
    (create(input=[text_item("x" * (MAX_TEXT + 1))]), "string_above_max_length", "response.input"),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": "response.cancel", "response_id": 5}, "invalid_type", "response_id"),
    (item(type="function_call"), "unsupported", "item.type"),
    (item(type="message", role="user", content="x"), "invalid_value", "item.content"),
    (item(type="message", id="x" * 513), "invalid_value", "item.id"),
    (item(type="message", content=[{"type": "text"}] * 65), "invalid_value", "item.content"),
    (
        create(input=[item(type="message", content=[{"type": "text"}] * 65)["item"]]),
        "invalid_value",
        "response.input[0].content",
    ),
    (item(**text_item("x" * (2**20 + 1))), "string_above_max_length", "item"),
    ({**item(**text_item("x")), "previous_item_id": "x"}, "item_not_found", "previous_item_id"),
    ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
    ({"type": "conversation.item.delete", "item_id": "x"}, "item_not_found", "item_id"),
    ({"type": "conversation.item.retrieve", "item_id": ["x"]}, "invalid_type", "item_id"),
    ({"type": "conversation.item.truncate", "item_id": "x" * 513}, "invalid_value", "item_id"),
    ({"type": "conversation.item.truncate", "item_id": "x"}, "item_not_found", "item_id"),
]


async def test_each_invalid_event_gets_its_error_and_changes_nothing(app: AppServer) -> None:
    async with realtime(app.url, "model=m") as client:
        before = await session_of(client)
        for number, (event, code, param) in enumerate(ROWS):
            if isinstance(event, dict):
                await client.websocket.send(json.dumps({**event, "event_id": f"mine {number}"}))
            else:
                await client.websocket.send(event)
            answer = await client.receive()
            shown = str(event)[:200]
            assert answer["type"] == "error", (shown, answer)
            error = answer["error"]
            assert (error["code"], error["param"]) == (code, param), (shown, error)
            assert error["type"] == "invalid_request_error" and error["message"], shown
            assert error["event_id"] == (f"mine {number}" if isinstance(event, dict) else None), shown
        assert await session_of(client) == before
        # The connection still listens, and speaks.
        await client.detect(None)
        await client.append(quiet(0.24), loud(0.16), quiet(0.16))
        await client.send("input_audio_buffer.commit")
        assert await client.transcripts(1) == ["w0 w1"]
        await client.send("response.create", response={"input": [text_item("Hello.")]})
        assert (await client.until("response.done"))[-1]["response"]["status"] == "completed"


async def session_of(client: Client) -> dict[str, Any]:
    session: dict[str, Any] = (await client.configure("realtime"))["session"]
    return session


async def test_event_ids_of_any_kind_are_taken(app: AppServer) -> None:
    async with realtime(app.url) as client:
        for given, returned in ((5, None), (None, None), ("x" * 513, None), ("\ud800", "\ud800")):
            await client.send("nothing", event_id=given)
            assert (await client.receive())["error"]["event_id"] == returned


async def test_largest_audio_is_taken(tmp_path: Path) -> None:
    audio = base64.b64encode(bytes(MAX_AUDIO_BYTES)).decode()
    async with serving(tmp_path) as server:
        async with realtime(server.url) as client:
            await client.send("input_audio_buffer.append", audio=audio)
            assert "disabled" in (await client.receive())["error"]["message"]
            await client.send("input_audio_buffer.append", audio=audio + "AAAA")
            assert (await client.receive())["error"]["code"] == "audio_too_large"
            # Far beyond it nothing is read: the limit of a message is twice as far as that of its audio.
            with suppress(ConnectionClosedError):
                await client.send("input_audio_buffer.append", audio=audio * 2)
            assert await client.close_code() == 1009
