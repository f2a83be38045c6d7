"""Bad input to the relay: one error each, and the socket stays open."""

from __future__ import annotations

import json

import pytest

from tests.clients.relay.wire import connect_client
from tests.protocols.conftest import Serve
from tests.support.app_server import AppServer, StartApp

HELLO = "Hola."
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 4


def start(text: object) -> str:
    return json.dumps({"action": "start_tts", "text": text})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("{", "Invalid JSON"),
        ("", "Invalid JSON"),
        ("null", "Invalid JSON"),
        ('["start_tts"]', "Invalid JSON"),
        ("[" * 90_000, "Invalid JSON"),
        ('{"action":"start_tts","text":NaN}', "Invalid JSON"),
        ("[" * 900_000, "Invalid JSON: too many values (at most 100000)"),
        (b"\0\1", "Binary messages are not supported"),
        (b"", "Binary messages are not supported"),
        ("{}", "Unknown action: None"),
        ('{"action":"speak"}', "Unknown action: speak"),
        ('{"action":["start_tts"]}', "Unknown action: ['start_tts']"),
        (json.dumps({"action": "x" * 500_000}), "Unknown action: " + "x" * 100),
        ('{"action":"\\ud83d"}', "Unknown action: \ud83d"),
        ('{"action":"start_tts"}', "No text provided"),
        (start(""), "No text provided"),
        (start(None), "No text provided"),
        (start(5), "text: must be a string"),
        (start(["Hola"]), "text: must be a string"),
        (start("é" * 10_001), "text: too long (at most 10000 characters)"),
        (start("a " * 500_000), "text: too long (at most 10000 characters)"),
        ('{"action":"append_tts"}', "No text provided"),
        ('{"action":"append_tts","text":{}}', "text: must be a string"),
    ],
)
async def test_bad_message_is_answered_by_one_error(
    espeak_app: AppServer, raw: str | bytes, says: str
) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.connection.send(raw)
        assert await client.receive() == {"type": "error", "message": says}
        (await client.speak(HELLO)).check(HELLO)


async def test_incremental_text_is_limited(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("append_tts", text="Hola. ")
        await client.send("append_tts", text="a" * 9_995)
        assert await client.receive() == {
            "type": "error",
            "message": "text: too long (at most 10000 characters)",
        }
        await client.send("append_tts", text="Adiós.")
        await client.send("finish_tts")
        (await client.receive_utterance()).check("Hola. Adiós.")


async def test_finish_and_stop_without_text(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("finish_tts")
        await client.send("append_tts", text="")
        await client.send("finish_tts")
        await client.send("stop")
        await client.send("ping")
        assert [(await client.receive())["type"] for _ in range(2)] == ["stopped", "pong"]


async def test_queue_is_limited_to_16_texts(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url) as client:
        await client.send("append_tts", text="Espera: ")
        await client.send("ping")
        assert (await client.receive())["type"] == "pong"
        for number in range(20):
            await client.send("start_tts", text=f"Número {number}.")
        for _ in range(4):
            message = await client.receive()
            assert message == {"type": "error", "message": "too many texts are waiting (at most 16)"}
        await client.send("append_tts", text="ya.")
        await client.send("finish_tts")
        (await client.receive_utterance()).check("Espera: ya.")
        for number in range(16):
            (await client.receive_utterance()).check(f"Número {number}.")


async def test_rate_limit_is_one_error(start_app: StartApp) -> None:
    server = start_app(KANI_RATE_LIMIT_ENABLED="true", KANI_RATE_PER_MINUTE="2")
    async with connect_client(server.url) as client:
        for _ in range(2):
            (await client.speak(HELLO)).check(HELLO)
        refused = await client.speak(HELLO)
        assert refused.chunks == []
        assert refused.last == {"type": "error", "message": "too many requests (at most 2 a minute)"}
        await client.send("ping")
        assert await client.receive() == {"type": "pong"}


async def test_stopping_server_closes_with_1001(serve: Serve) -> None:
    server = await serve(KANI_SHUTDOWN_SECONDS="0.2")
    server.engine.allow = 20
    async with connect_client(server.url) as client:
        await client.send("append_tts", text=LONG)
        assert (await client.receive())["type"] == "chunk"
        server.stop.set()
        last = await client.receive_after_chunks()
        assert last == {"type": "error", "message": "the server is stopping"}
        await client.connection.wait_closed()
        assert client.connection.close_code == 1001
