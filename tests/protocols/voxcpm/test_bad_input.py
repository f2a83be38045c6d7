"""Invalid input in VoxCPM's protocol: an error code, and a sentence that names the field."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import av
import numpy as np
import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients.voxcpm.wire import Client, Frame, Message, opened
from tests.conftest import ServerProcess, StartServer
from tests.protocols.conftest import Serve
from tests.support.app_server import AppServer, StartApp

HELLO = "Hola."
TONES = "uno dos tres cuatro."
MIB = 2**20


def request(request_id: object = "one", **params: object) -> str:
    return json.dumps({"type": "tts_request", "request_id": request_id, "params": params})


async def error(client: Client) -> Message:
    message = await client.receive()
    assert isinstance(message, dict) and message["type"] == "error", message
    return message


INVALID = "INVALID_PARAMS"
NO_VOICE = "VOICE_NOT_FOUND"


@pytest.mark.parametrize(
    ("raw", "request_id", "code", "says"),
    [
        (b"\0\1", None, "UNSUPPORTED_FORMAT", "Binary messages from client are not supported"),
        ("{", None, "INVALID_JSON", "Invalid JSON format"),
        ('{"type":"speak","request_id":"s"}', "s", "UNKNOWN_MESSAGE_TYPE", "Unknown message type: speak"),
        (request(), "one", INVALID, "text: is required"),
        (request(text="é" * 5001), "one", "TEXT_TOO_LONG", "text: too long (max 5000 characters)"),
        (request(text=HELLO, voice_id="nobody"), "one", NO_VOICE, "Voice 'nobody' not found"),
        (request(text=HELLO, voice="custom:nobody"), "one", NO_VOICE, "Voice 'custom:nobody' not found"),
        (request(text=HELLO, voice_id="../etc/passwd"), "one", NO_VOICE, "Voice '../etc/passwd' not found"),
        (request(text=HELLO, language="gibberish"), "one", INVALID, "language: unsupported language 'gib"),
        (request(text=HELLO, emotion="bored"), "one", INVALID, "emotion: unknown emotion 'bored'"),
        (request(text=HELLO, emotion="happy;sad"), "one", INVALID, "emotion: 'happy;sad' is no"),
        (request(text=HELLO, emotion_strength=2), "one", INVALID, "emotion_strength: must be between 0"),
        (request(text=HELLO, duration=0), "one", INVALID, "duration: must be between"),
        (request(text=HELLO, duration=1, speed=1.5), "one", INVALID, "duration: cannot be given together"),
        (request(text=HELLO, lexicon={"a": ""}), "one", INVALID, "lexicon: entry 1 ('a')"),
        (request(text=HELLO, speed=9), "one", INVALID, "speed: must be between 0.25 and 4"),
        (request(text=HELLO, seed=-1), "one", INVALID, "seed: must be between 0 and"),
        (request(text=HELLO, seed=10**400), "one", INVALID, "seed: must be between 0 and"),
    ],
)  # fmt: skip
async def test_invalid_message_leaves_connection_open(
    espeak_app: AppServer, raw: str | bytes, request_id: str | None, code: str, says: str
) -> None:
    async with opened(espeak_app.url) as client:
        await client.socket.send(raw)
        told = await error(client)
        assert (told["request_id"], told["error"]["code"]) == (request_id, code)
        assert says in told["error"]["message"]
        assert isinstance(told["error"]["details"], dict)
        assert (await client.speak(HELLO, "one")).last["type"] == "complete"


async def test_error_without_request_has_last_id(espeak_app: AppServer) -> None:
    async with opened(espeak_app.url) as client:
        await client.speak(HELLO, "mine")
        await client.socket.send(b"x")
        assert (await error(client))["request_id"] == "mine"


async def test_duplicate_id_does_not_disturb_request(serve: Serve) -> None:
    server = await serve()
    async with opened(server.url) as client:
        alone = await client.speak(TONES, "same")
        server.engine.allow = server.engine.steps
        await client.request("same", TONES)
        await client.request("same", HELLO)
        while isinstance(message := await client.receive(), Frame) or message["type"] == "progress":
            pass
        refused = message["error"]
        assert (refused["code"], list(refused["details"]["errors"])) == (INVALID, ["request_id"])
        await server.engine.permit(None)
        together = await client.answer("same")
    assert together.last["type"] == "complete" and together.pcm == alone.pcm


async def test_message_over_mebibyte_closes_with_1009(espeak_server: ServerProcess) -> None:
    async with opened(espeak_server.url) as client:
        fits = '{"type":"ping","timestamp":1,"x":"'
        await client.socket.send(fits + "x" * (MIB - len(fits) - 2) + '"}')
        message = await client.receive()
        assert isinstance(message, dict) and message["type"] == "pong"
        await client.socket.send("x" * (MIB + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_requests_of_connection_are_limited(serve: Serve) -> None:
    server = await serve()
    server.engine.allow = 0
    async with opened(server.url) as client:

        async def refused(name: str) -> str:
            # The pong comes after all answers to what was sent before.
            await client.send("ping")
            while (message := await client.receive())["type"] == "progress":
                pass
            assert message["type"] == "error", message
            assert (message["request_id"], message["error"]["code"]) == (name, "QUEUE_FULL")
            while (await client.receive())["type"] != "pong":
                pass
            return str(message["error"]["message"])

        for number in range(257):
            await client.request(f"r{number}", HELLO, mode="non_streaming")
        assert "at most 256, and 16 MiB in all" in await refused("r256")
        for number in range(256):
            await client.send("cancel", request_id=f"r{number}")
        answers = await client.answers(*(f"r{number}" for number in range(256)))
        assert {answer.last["type"] for answer in answers.values()} == {"complete"}
        for number in range(17):
            await client.request(f"b{number}", HELLO, mode="non_streaming", x="x" * (MIB - 1000))
        assert await refused("b16")


async def test_configured_limits_are_applied(start_app: StartApp) -> None:
    server = start_app(TTS_MAX_TEXT_LENGTH="10", TTS_RATE_LIMIT_ENABLED="true", TTS_RATE_LIMIT_PER_MINUTE="3")
    async with opened(server.url) as client:
        assert (await client.speak("x" * 11)).last["error"] == {
            "code": "TEXT_TOO_LONG",
            "message": "Validation failed: text: too long (max 10 characters)",
            "details": {"errors": {"text": "too long (max 10 characters)"}},
        }
        for _ in range(3):
            assert (await client.speak("x" * 10)).last["type"] == "complete"
        refused = await client.speak(HELLO)
        assert refused.last["error"]["code"] == "RATE_LIMITED"
        assert refused.last["error"]["details"] == {"limit": 3, "window": "60s"}
        assert len(refused.messages) == 1


async def test_full_queue_is_reported(serve: Serve) -> None:
    server = await serve(TTS_MAX_CONCURRENT="1", TTS_MAX_QUEUE_SIZE="2")
    server.engine.allow = 0
    async with opened(server.url) as client:
        await client.request("first", HELLO)
        while not server.engine.under_way:
            await asyncio.sleep(0.001)
        for name in ("second", "third", "fourth"):
            await client.request(name, HELLO)
        while (message := await client.receive())["type"] == "progress":
            pass
        assert (message["request_id"], message["error"]["code"]) == ("fourth", "QUEUE_FULL")
        assert "at most 2" in message["error"]["message"]
        await client.send("cancel", request_id="first")
        while len(server.engine.segments) < 2:
            await asyncio.sleep(0.001)
        await server.engine.permit(None)
        answers = await client.answers("first", "second", "third")
    assert answers.pop("first").last["result"] == {"cancelled": True}
    assert all(answer.last["result"]["samples"] for answer in answers.values())


@pytest.mark.heard
async def test_recordings_in_memory_are_limited(start_server: StartServer) -> None:
    target = io.BytesIO()
    with av.open(target, "w", "ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        stream.bit_rate = 6000
        for _ in range(59):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "fltp", "mono")
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    recording = "data:audio/ogg;base64," + base64.b64encode(target.getvalue()).decode()
    server = start_server("--engine", "espeak", KANI_AHEAD_SECONDS="1")
    async with opened(server.url) as client:
        memory = psutil.Process(server.process.pid)
        before = 0
        for count in (8, 32):
            names = [f"r{number}" for number in range(count)]
            for name in names:
                await client.request(name, HELLO, prompt_wav_url=recording)
            answers = await client.answers(*names)
            assert {answer.last["type"] for answer in answers.values()} == {"complete"}
            assert {answer.last["result"]["cloning"] for answer in answers.values()} == {"none"}
            assert not before or memory.memory_info().rss < before + 100 * MIB
            before = memory.memory_info().rss
