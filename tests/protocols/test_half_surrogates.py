"""Half a surrogate pair, which JavaScript sends of a text that was cut inside an emoji, in every field.

Each answer is one of the protocol's own; no error is logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.protocols.elevenlabs.http import body as elevenlabs_body
from kani.protocols.kani.messages import Config

if TYPE_CHECKING:
    from tests.support.app_server import AppServer

HALF = "\ud800"
VALUES: tuple[Any, ...] = (HALF, [HALF], {HALF: HALF}, "a" + HALF)
GUARD_S = 120.0
KEYED = {"kyutai-api-key": "public_token"}
VOICE = "ef_dora"


def each(fields: list[str], rest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Objects with ``rest``, each with one field that is a value with half a surrogate pair."""
    for field in fields:
        for value in VALUES:
            yield {**rest, field: value}
    yield {**rest, HALF: HALF}


def kani() -> Iterator[dict[str, Any]]:
    yield from each(["type", "data"], {"type": "tts_request", "data": {"text": "a"}})
    fields = ["text", "reference_audio", "config", "stream"]
    for data in each(fields, {"text": "a"}):
        yield {"type": "tts_request", "data": data}
    for config in each(list(Config.__struct_fields__), {}):
        yield {"type": "tts_request", "data": {"text": "a", "config": config}}


def voxcpm() -> Iterator[dict[str, Any]]:
    request = {"type": "tts_request", "request_id": "1", "params": {"text": "a"}}
    yield from each(["type", "request_id", "params"], request)
    names = "text voice_id mode prompt_wav_path prompt_wav_url prompt_text cfg_value inference_timesteps"
    for params in each([*names.split(), "retry_badcase", "speed", "emotion", "language"], {"text": "a"}):
        yield {**request, "params": params}
    yield from each(["request_id"], {"type": "cancel", "request_id": "1"})
    yield from each(["timestamp"], {"type": "ping"})


def relay() -> Iterator[dict[str, Any]]:
    yield from each(["action", "text"], {"action": "start_tts", "text": "a"})


def elevenlabs() -> Iterator[dict[str, Any]]:
    fields = ["text", "xi_api_key", "authorization", "context_id", "flush", "try_trigger_generation"]
    yield from each([*fields, "voice_settings", "generation_config", "close_socket"], {"text": "a "})
    for settings in each(["stability", "speed", "style", "use_speaker_boost"], {}):
        yield {"text": "a ", "voice_settings": settings}
    for config in each(["chunk_length_schedule"], {}):
        yield {"text": "a ", "generation_config": config}


def assert_no_errors(caplog: pytest.LogCaptureFixture) -> None:
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def answered(client: ClientConnection) -> None:
    """Wait for what comes back, be it a message or the end, which must not be 1011."""
    try:
        await asyncio.wait_for(client.recv(), GUARD_S)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None and closed.rcvd.code != 1011


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        ("/", kani),
        ("/tts", voxcpm),
        ("/stream_tts", relay),
        (f"/v1/text-to-speech/{VOICE}/stream-input", elevenlabs),
        (f"/v1/text-to-speech/{VOICE}/multi-stream-input", elevenlabs),
    ],
)
async def test_websocket_messages_are_answered(
    espeak_app: AppServer, caplog: pytest.LogCaptureFixture, path: str, messages: Any
) -> None:
    for message in messages():
        async with connect(espeak_app.url + path) as client:
            # ASCII: a WebSocket's text is UTF-8, which cannot write half a pair; JSON can escape it.
            await client.send(json.dumps(message))
            if path == "/" or "action" in message or "type" in message:
                await answered(client)
            else:
                await client.send(json.dumps({"text": ""}))
                await client.send(json.dumps({"close_socket": True}))
                await answered(client)
    assert_no_errors(caplog)


@pytest.mark.parametrize(
    ("path", "fields", "rest"),
    [
        ("/tts", ["text", "reference_audio", *Config.__struct_fields__], {"text": "a"}),
        ("/stream-tts", ["text", "voice_id", "lexicon"], {"text": "a"}),
        ("/api/tts_streaming", ["text", "voice"], {"text": "a"}),
        ("/api/tts", ["text", "voice", "voices", "seed", "top_k", "cfg_alpha"], {"text": ["a"]}),
        (f"/v1/text-to-speech/{VOICE}", list(elevenlabs_body.FIELDS), {"text": "a"}),
        (f"/v1/text-to-speech/{VOICE}/with-timestamps", ["text", "voice_settings"], {"text": "a"}),
        ("/token", ["room_name", "participant_identity", "participant_metadata", "room_config"], {}),
    ],
)
def test_http_bodies_are_answered(
    espeak_app: AppServer,
    caplog: pytest.LogCaptureFixture,
    path: str,
    fields: list[str],
    rest: dict[str, Any],
) -> None:
    with httpx.Client(headers=KEYED, timeout=GUARD_S) as client:
        for body in each(fields, rest):
            answer = client.post(espeak_app.http_url + path, content=json.dumps(body))
            assert answer.status_code < 500 or path == "/token", (body, answer.text)
    assert_no_errors(caplog)


def test_voice_name_is_refused(espeak_app: AppServer) -> None:
    for body in each(["name"], {}):
        url = f"{espeak_app.http_url}/v1/audio/voices/none"
        assert httpx.patch(url, content=json.dumps(body), timeout=GUARD_S).status_code in (400, 404)


@pytest.mark.parametrize("path", ["/api/tts_streaming?format=PcmMessagePack", "/api/asr-streaming"])
async def test_message_pack_is_answered(
    espeak_app: AppServer, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    half = HALF.encode("utf-8", "surrogatepass")
    plain = msgspec.msgpack.encode({"type": "Text", "text": "abc"})
    for message in (plain.replace(b"abc", half), plain.replace(b"Text", half + b"a", 1), b"\xa3" + half):
        async with connect(espeak_app.url + path, additional_headers=KEYED) as client:
            await client.send(message)
            await client.send(b"\0")
            await answered(client)
    assert_no_errors(caplog)
