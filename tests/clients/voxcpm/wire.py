"""VoxCPM's protocol as a client reads it: strictly."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from kani.core.types import Samples
from tests.support.patience import WITHIN_S

Message = dict[str, Any]

STREAMING_CHUNK, NON_STREAMING = 1, 2


@dataclass(frozen=True)
class Frame:
    kind: int
    metadata: Message
    pcm: bytes


@dataclass
class Answer:
    messages: list[Message | Frame] = field(default_factory=list)

    @property
    def last(self) -> Message:
        assert isinstance(self.messages[-1], dict)
        return self.messages[-1]

    @property
    def frames(self) -> list[Frame]:
        return [message for message in self.messages if isinstance(message, Frame)]

    @property
    def told(self) -> list[Message]:
        return [message for message in self.messages if isinstance(message, dict)]

    @property
    def pcm(self) -> bytes:
        return b"".join(frame.pcm for frame in self.frames)

    @property
    def samples(self) -> Samples:
        return np.frombuffer(self.pcm, "<i2").astype(np.float32) / 32768

    @property
    def spans(self) -> list[list[float]]:
        return [row for frame in self.frames for row in frame.metadata["spans"]]


def read_frame(data: bytes) -> Frame:
    magic, kind, reserved, length = struct.unpack_from(">HBBI", data)
    assert (magic, reserved) == (0xAA55, 0)
    (payload,) = struct.unpack_from(">I", data, 8 + length)
    assert length % 4 == 0 and payload % 2 == 0 and len(data) == 12 + length + payload
    return Frame(kind, json.loads(data[8 : 8 + length]), data[12 + length :])


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def request(self, request_id: str, text: str, **params: object) -> None:
        await self.send("tts_request", request_id=request_id, params={"text": text, **params})

    async def receive(self) -> Message | Frame:
        raw = await asyncio.wait_for(self.socket.recv(), WITHIN_S)
        if isinstance(raw, bytes):
            return read_frame(raw)
        message: Message = json.loads(raw)
        return message

    async def answer(self, request_id: str) -> Answer:
        """All that comes until a request is over; nothing may come for another meanwhile."""
        return (await self.answers(request_id))[request_id]

    async def answers(self, *request_ids: str) -> dict[str, Answer]:
        found = {name: Answer() for name in request_ids}
        open_ones = set(request_ids)
        while open_ones:
            message = await self.receive()
            fields = message.metadata if isinstance(message, Frame) else message
            assert fields["request_id"] in open_ones, message
            found[fields["request_id"]].messages.append(message)
            if isinstance(message, dict) and message["type"] in ("complete", "error"):
                open_ones.remove(fields["request_id"])
        return found

    async def speak(self, text: str, request_id: str = "one", **params: object) -> Answer:
        await self.request(request_id, text, **params)
        return await self.answer(request_id)

    async def alive(self) -> None:
        await self.send("ping", timestamp=7)
        assert (await self.receive())["type"] == "pong"


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Client]:
    async with connect(f"{url}/tts", max_size=None, compression=None, **options) as socket:
        yield Client(socket)
