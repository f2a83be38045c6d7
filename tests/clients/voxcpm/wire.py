"""VoxCPM's protocol as a client reads it: strictly."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from speech.types import Samples

Message = dict[str, Any]

STREAMING_CHUNK, NON_STREAMING = 1, 2


@dataclass(frozen=True)
class Frame:
    """A binary frame; pcm: its payload."""

    kind: int
    metadata: Message
    pcm: bytes


@dataclass
class Answer:
    """What came for one request: JSON messages and frames, in order."""

    messages: list[Message | Frame] = field(default_factory=list)

    @property
    def last(self) -> Message:
        """The message that ends it."""
        assert isinstance(self.messages[-1], dict)
        return self.messages[-1]

    @property
    def frames(self) -> list[Frame]:
        """Its frames."""
        return [message for message in self.messages if isinstance(message, Frame)]

    @property
    def told(self) -> list[Message]:
        """Its JSON messages."""
        return [message for message in self.messages if isinstance(message, dict)]

    @property
    def pcm(self) -> bytes:
        """Its audio."""
        return b"".join(frame.pcm for frame in self.frames)

    @property
    def samples(self) -> Samples:
        """The same, between -1 and 1."""
        return np.frombuffer(self.pcm, "<i2").astype(np.float32) / 32768

    @property
    def spans(self) -> list[list[float]]:
        """The spans of all frames."""
        return [row for frame in self.frames for row in frame.metadata["spans"]]


def read_frame(data: bytes) -> Frame:
    """A frame, every byte of which is where it must be."""
    magic, kind, reserved, length = struct.unpack_from(">HBBI", data)
    assert (magic, reserved) == (0xAA55, 0)
    (payload,) = struct.unpack_from(">I", data, 8 + length)
    assert length % 4 == 0 and payload % 2 == 0 and len(data) == 12 + length + payload
    return Frame(kind, json.loads(data[8 : 8 + length]), data[12 + length :])


class Client:
    """One connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: object) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def request(self, request_id: str, text: str, **params: object) -> None:
        """Ask for speech."""
        await self.send("tts_request", request_id=request_id, params={"text": text, **params})

    async def receive(self) -> Message | Frame:
        """The next message or frame."""
        raw = await self.socket.recv()
        if isinstance(raw, bytes):
            return read_frame(raw)
        message: Message = json.loads(raw)
        return message

    async def answer(self, request_id: str) -> Answer:
        """All that comes until a request is over; nothing may come for another meanwhile."""
        return (await self.answers(request_id))[request_id]

    async def answers(self, *request_ids: str) -> dict[str, Answer]:
        """The same for several requests at once."""
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
        """A request's whole answer."""
        await self.request(request_id, text, **params)
        return await self.answer(request_id)

    async def alive(self) -> None:
        """See that the connection works, and that nothing else is on its way."""
        await self.send("ping", timestamp=7)
        assert (await self.receive())["type"] == "pong"


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Client]:
    """A connection to ``/tts`` of a server."""
    async with connect(f"{url}/tts", max_size=None, compression=None, **options) as socket:
        yield Client(socket)
