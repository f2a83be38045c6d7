"""Wrong messages to a live server, which serves another client undisturbed."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.conftest import ServerProcess, StartServer
from tests.fuzzing.messages import SAMPLES, packed
from tests.fuzzing.mutator import Mutator

INPUTS = 200
"""Messages to each path."""

PER_CONNECTION = 40

KEY = "public_token"
"""Kyutai's speech routes want a key from every client."""

TEXT_TO_SPEECH = "/v1/text-to-speech/espeak:es"
PATHS: dict[str, tuple[str, Callable[[Mutator, Any], str | bytes]]] = {
    "/": ("kani message", Mutator.json),
    "/tts": ("voxcpm message", Mutator.json),
    "/stream_tts": ("relay message", Mutator.json),
    f"{TEXT_TO_SPEECH}/stream-input": ("elevenlabs message", Mutator.json),
    f"{TEXT_TO_SPEECH}/multi-stream-input": ("elevenlabs message", Mutator.json),
    f"/api/tts_streaming?auth_id={KEY}": ("kyutai to speak", packed),
    f"/api/asr-streaming?auth_id={KEY}": ("kyutai to hear", packed),
}
"""By path: whose first sample is sent, and how it is made wrong."""


async def spoken(server: ServerProcess) -> Any:
    request = {"text": "Son las diez y media de la mañana.", "config": {"voice_id": "espeak:es"}}
    async with connect(f"{server.url}/", max_size=None) as socket:
        await socket.send(json.dumps({"type": "tts_request", "data": request}))
        return json.loads(await socket.recv())["data"]["audio"]


async def read_all(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass


async def attack(server: ServerProcess, path: str) -> None:
    """Send wrong messages, and leave, every other time without a goodbye."""
    mutator, (name, make) = Mutator(path), PATHS[path]
    sent = 0
    while sent < INPUTS:
        with suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with connect(f"{server.url}{path}", max_size=None) as socket:
                reading = asyncio.create_task(read_all(socket))
                for _ in range(PER_CONNECTION):
                    message = make(mutator, SAMPLES[name][0])
                    # The client's library sends no half surrogates.
                    if isinstance(message, str):
                        message = message.encode("utf-8", "replace").decode()
                    await socket.send(message)
                    sent += 1
                # Answers are under way to both kinds of clients.
                if sent // PER_CONNECTION % 2:
                    socket.transport.abort()
                await socket.close()
                await reading


@pytest.mark.heard
async def test_wrong_messages_disturb_no_other_client(start_server: StartServer) -> None:
    """While every path is attacked each sentence is the same, and no traceback is in the log."""
    server = start_server("--engine", "espeak", KANI_API_KEYS=KEY)
    alone = await spoken(server)
    async with asyncio.TaskGroup() as group:
        attacks = [group.create_task(attack(server, path)) for path in PATHS]
        while not all(task.done() for task in attacks):
            assert await spoken(server) == alone
    assert await spoken(server) == alone
    server.stop()
