"""The wire of ElevenLabs Agents, as a client without a package sees it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.audio.pcm import from_pcm16, pcm16
from kani.core.audio.playback import Playback
from kani.core.types import Samples
from tests.support.patience import WITHIN_S

PATH = "/v1/convai/conversation"
RATE = 16_000
BODIES = {
    "conversation_initiation_metadata": "conversation_initiation_metadata_event",
    "audio": "audio_event",
    "agent_response": "agent_response_event",
    "agent_response_correction": "agent_response_correction_event",
    "agent_chat_response_part": "text_response_part",
    "interruption": "interruption_event",
    "user_transcript": "user_transcription_event",
    "ping": "ping_event",
    "client_tool_call": "client_tool_call",
    "agent_tool_response": "agent_tool_response",
    "error": "error_event",
}

Event = dict[str, Any]


class Caller:
    """One connection; ``seen``: type and body of each message so far but pings."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.seen: list[tuple[str, Event]] = []
        self.pings: list[Event] = []
        self.answers_pings = True
        self._playback = Playback()

    async def send(self, kind: str | None, **fields: Any) -> None:
        await self.websocket.send(json.dumps(fields if kind is None else {"type": kind, **fields}))

    async def initiate(self, **override: Any) -> Event:
        await self.send("conversation_initiation_client_data", conversation_config_override=override)
        return await self.until("conversation_initiation_metadata")

    async def receive(self) -> tuple[str, Event]:
        while True:
            kind, body = await self._next()
            if kind != "ping":
                return kind, body

    async def ping(self) -> Event:
        """Wait for the next ping."""
        while True:
            kind, body = await self._next()
            if kind == "ping":
                return body

    async def _next(self) -> tuple[str, Event]:
        message = json.loads(await asyncio.wait_for(self.websocket.recv(), WITHIN_S))
        kind = message["type"]
        assert message.keys() == {"type", BODIES[kind]}
        body: Event = message[BODIES[kind]]
        if kind == "audio":
            self._playback.add(len(base64.b64decode(body["audio_base_64"])) / 2 / RATE)
        if kind != "ping":
            self.seen.append((kind, body))
            return kind, body
        self.pings.append(body)
        if self.answers_pings:
            await self.send("pong", event_id=body["event_id"])
        return kind, body

    async def until(self, kind: str) -> Event:
        while True:
            came, body = await self.receive()
            if came == kind:
                return body

    async def listen(self) -> Event:
        """Receive an answer, and play it to its end; returns its ``agent_response``."""
        response = await self.until("agent_response")
        await asyncio.sleep(self.left_s)
        return response

    @property
    def left_s(self) -> float:
        """Seconds until all audio that came is played."""
        return self._playback.ahead_s

    async def speak(self, *pieces: Samples) -> None:
        audio = pcm16(np.concatenate(pieces))
        for at in range(0, len(audio), 8000):
            await self.send(None, user_audio_chunk=base64.b64encode(audio[at : at + 8000]).decode())

    def of(self, kind: str) -> list[Event]:
        return [body for came, body in self.seen if came == kind]

    def samples(self, after: int = 0) -> Samples:
        """Return the audio of the agent, or that with ids above ``after``."""
        bodies = [body for body in self.of("audio") if body["event_id"] > after]
        return from_pcm16(b"".join(base64.b64decode(body["audio_base_64"]) for body in bodies))

    async def closed(self) -> tuple[int, str]:
        """Receive up to the close; returns its code and reason."""
        try:
            while True:
                await self.receive()
        except ConnectionClosed as closed:
            assert closed.rcvd is not None
            return closed.rcvd.code, closed.rcvd.reason


@asynccontextmanager
async def calling(ws_url: str, agent_id: str = "any", **how: Any) -> AsyncIterator[Caller]:
    url = f"{ws_url}{PATH}?{urlencode({'agent_id': agent_id})}"
    async with connect(url, **how) as websocket:
        yield Caller(websocket)
