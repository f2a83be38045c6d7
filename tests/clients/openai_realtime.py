"""The Realtime wire of OpenAI's API, as a client without a library sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from kani.core.audio.pcm import pcm16
from kani.core.types import Samples
from tests.support.patience import WITHIN_S

RATE = 24_000
BETA = {"OpenAI-Beta": "realtime=v1"}

TRANSCRIPTION = "conversation.item.input_audio_transcription"

Event = dict[str, Any]


def loud(seconds: float, rate: int = RATE, level: float = 0.5) -> Samples:
    tone = level * np.sin(2 * np.pi * 200 * np.arange(round(seconds * rate)) / rate)
    return tone.astype(np.float32)


def quiet(seconds: float, rate: int = RATE) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


class Client:
    """One connection; ``seen`` is every event so far."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.seen: list[Event] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.websocket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event:
        event: Event = json.loads(await asyncio.wait_for(self.websocket.recv(), WITHIN_S))
        self.seen.append(event)
        return event

    async def until(self, kind: str, count: int = 1) -> list[Event]:
        """Receive up to the ``count``-th event of that type; returns what came."""
        events: list[Event] = []
        while count:
            event = await self.receive()
            events.append(event)
            count -= event["type"] == kind
        return events

    async def append(self, *pieces: Samples) -> None:
        audio = np.concatenate(pieces)
        # Pieces of a tenth of a second: a recognition holds 60 s and 10,000 pieces at most.
        for at in range(0, len(audio), RATE // 10):
            data = base64.b64encode(pcm16(audio[at : at + RATE // 10])).decode()
            await self.send("input_audio_buffer.append", audio=data)

    async def configure(self, kind: str = "transcription", **session: Any) -> Event:
        await self.send("session.update", session={"type": kind, **session})
        return (await self.until("session.updated"))[-1]

    async def detect(self, detection: dict[str, Any] | None, **transcription: Any) -> Event:
        given = {"transcription": {"model": "whisper-1", **transcription}, "turn_detection": detection}
        return await self.configure(audio={"input": given})

    async def transcripts(self, count: int) -> list[str]:
        await self.until(f"{TRANSCRIPTION}.completed", count)
        return [event["transcript"] for event in self.of(f"{TRANSCRIPTION}.completed")][-count:]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event["type"] == kind]

    async def close_code(self) -> int:
        """Read until the server closes the connection; returns the code."""
        with suppress(ConnectionClosedError):
            async for message in self.websocket:
                self.seen.append(json.loads(message))
        assert self.websocket.close_code is not None
        return self.websocket.close_code


@asynccontextmanager
async def realtime(url: str, query: str = "intent=transcription", **options: Any) -> AsyncIterator[Client]:
    async with connect(f"{url}/v1/realtime?{query}", max_size=None, **options) as websocket:
        client = Client(websocket)
        await client.receive()
        yield client


def types(events: Sequence[Event]) -> list[str]:
    return [event["type"] for event in events]


def audio_of(events: Sequence[Event], kind: str = "response.output_audio.delta") -> bytes:
    return b"".join(base64.b64decode(event["delta"]) for event in events if event["type"] == kind)


def text_item(text: str, role: str = "user") -> Event:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}
