"""Kani's protocol as a client reads it: strictly."""

import asyncio
import base64
import io
import json
import wave
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection

from tests.support.patience import WITHIN_S

RATE = 22_050

Message = dict[str, Any]


def request(text: str, kind: str = "tts_request", **data: Any) -> str:
    return json.dumps({"type": kind, "data": {"text": text, **data}})


async def receive(socket: ClientConnection) -> tuple[str, Message]:
    message = json.loads(await asyncio.wait_for(socket.recv(), WITHIN_S))
    assert set(message) == {"type", "data"}
    return message["type"], message["data"]


async def ask(socket: ClientConnection, message: str | bytes) -> Message:
    """The answer to a request that gets one message."""
    await socket.send(message)
    kind, data = await receive(socket)
    assert kind == "tts_response"
    return data


async def stream(socket: ClientConnection, message: str) -> tuple[list[Message], str, Message]:
    """The chunks of an answer, and the type and the data of its last message."""
    await socket.send(message)
    chunks = []
    while True:
        kind, data = await receive(socket)
        if kind != "tts_stream_chunk":
            return chunks, kind, data
        chunks.append(data)


def pcm(chunks: list[Message]) -> np.ndarray:
    return np.frombuffer(b"".join(base64.b64decode(chunk["audio"]) for chunk in chunks), "<i2")


def samples(data: Message) -> np.ndarray:
    with wave.open(io.BytesIO(base64.b64decode(data["audio"]))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")
