"""A client of the relay that checks every message."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from kani.core.types import Samples

RATE = 22_050
FIELDS = {
    "chunk": {"audio": str, "char_times": list, "char_durations": list, "chars": list, "chunk_index": int},
    "complete": {"total_chars": int, "total_duration_ms": int, "text": str},
    "error": {"message": str},
    "stopped": {},
    "pong": {},
}

Message = dict[str, Any]


@dataclass
class ReceivedUtterance:
    """The messages of one utterance."""

    chunks: list[Message] = field(default_factory=list)
    last: Message = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(character for chunk in self.chunks for character in chunk["chars"])

    @property
    def starts(self) -> list[int]:
        return [time for chunk in self.chunks for time in chunk["char_times"]]

    @property
    def durations(self) -> list[int]:
        return [time for chunk in self.chunks for time in chunk["char_durations"]]

    @property
    def pieces(self) -> list[bytes]:
        return [base64.b64decode(chunk["audio"], validate=True) for chunk in self.chunks]

    @property
    def samples(self) -> Samples:
        return np.frombuffer(b"".join(self.pieces), "<i2").astype(np.float32) / 32768

    def check(self, text: str) -> None:
        self.check_characters(text)
        end = self.starts[-1] + self.durations[-1]
        assert abs(end - 1000 * len(self.samples) / RATE) <= 20

    def check_characters(self, text: str) -> None:
        assert self.last["type"] == "complete", self.last
        assert self.text == self.last["text"] == text
        assert self.last["total_chars"] == len(text)
        assert self.last["total_duration_ms"] == sum(
            int(len(piece) / (2 * RATE) * 1000) for piece in self.pieces
        )
        starts, durations = self.starts, self.durations
        assert starts[0] == 0 and min(durations) >= 0
        ends = [start + duration for start, duration in zip(starts, durations, strict=True)]
        assert starts[1:] == ends[:-1], "times tile"


class Client:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, action: str, **fields: object) -> None:
        await self.connection.send(json.dumps({"action": action, **fields}))

    async def receive(self) -> Message:
        raw = await self.connection.recv()
        assert isinstance(raw, str)
        message: Message = json.loads(raw)
        fields = FIELDS[message["type"]]
        assert {name: type(value) for name, value in message.items()} == {"type": str, **fields}
        if message["type"] == "chunk":
            times, durations, chars = (message[name] for name in ("char_times", "char_durations", "chars"))
            assert len(times) == len(durations) == len(chars)
            assert {type(time) for time in times + durations} <= {int}
            assert all(len(char) == 1 for char in chars)
            assert len(base64.b64decode(message["audio"], validate=True)) % 2 == 0
        return message

    async def receive_utterance(self) -> ReceivedUtterance:
        answer = ReceivedUtterance()
        while (message := await self.receive())["type"] == "chunk":
            assert message["chunk_index"] == len(answer.chunks)
            answer.chunks.append(message)
        answer.last = message
        return answer

    async def receive_after_chunks(self) -> Message:
        while (message := await self.receive())["type"] == "chunk":
            pass
        return message

    async def write(self, *pieces: str) -> None:
        for piece in pieces:
            await self.send("append_tts", text=piece)
        await self.send("finish_tts")

    async def ping(self) -> None:
        await self.send("ping")
        assert await self.receive() == {"type": "pong"}

    async def speak(self, text: str) -> ReceivedUtterance:
        await self.send("start_tts", text=text)
        return await self.receive_utterance()


@asynccontextmanager
async def connect_client(url: str, path: str = "/stream_tts") -> AsyncIterator[Client]:
    async with connect(f"{url}{path}", max_size=None) as connection:
        yield Client(connection)
