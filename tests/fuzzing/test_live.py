"""Wrong messages to a live server, which serves another client undisturbed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.conftest import ServerProcess, StartServer
from tests.fuzzing.messages import CONTEXT, SPEAK, TEXT, VOXCPM, packed
from tests.fuzzing.mutator import Mutator

INPUTS = 200
"""Messages to each path."""

PER_CONNECTION = 40

KEY = "public_token"
"""Kyutai's speech routes want a key from every client."""

Make = Callable[[Mutator], str | bytes]

PATHS: dict[str, Make] = {
    "/": lambda mutator: mutator.json(SPEAK),
    "/tts": lambda mutator: mutator.json(VOXCPM),
    "/stream_tts": lambda mutator: mutator.json({"action": "start_tts", "text": TEXT}),
    "/v1/text-to-speech/espeak:es/stream-input": lambda mutator: mutator.json(CONTEXT),
    "/v1/text-to-speech/espeak:es/multi-stream-input": lambda mutator: mutator.json(CONTEXT),
    f"/api/tts_streaming?auth_id={KEY}": lambda mutator: packed(mutator, {"type": "Text", "text": TEXT}),
    f"/api/asr-streaming?auth_id={KEY}": lambda mutator: packed(
        mutator, {"type": "Audio", "pcm": [0.0, 0.5, -0.25] * 20}
    ),
}


async def spoken(server: ServerProcess) -> Any:
    request = {"text": "Son las diez y media de la mañana.", "config": {"voice_id": "espeak:es"}}
    async with connect(f"{server.url}/", max_size=None) as socket:
        await socket.send(json.dumps({"type": "tts_request", "data": request}))
        return json.loads(await socket.recv())["data"]["audio"]


async def read_all(socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass


async def attack(server: ServerProcess, path: str, make: Make) -> None:
    """Send wrong messages, and leave, every other time without a goodbye."""
    mutator = Mutator(path)
    sent = 0
    while sent < INPUTS:
        with suppress(ConnectionClosed, InvalidHandshake, OSError):
            async with connect(f"{server.url}{path}", max_size=None) as socket:
                reading = asyncio.create_task(read_all(socket))
                for _ in range(PER_CONNECTION):
                    message = make(mutator)
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
        attacks = [group.create_task(attack(server, path, make)) for path, make in PATHS.items()]
        while not all(task.done() for task in attacks):
            assert await spoken(server) == alone
    assert await spoken(server) == alone
    server.stop()
