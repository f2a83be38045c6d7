"""A client of Kyutai's two sockets that keeps all that it is sent."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from kani.core.types import Samples
from tests.clients.kyutai.wire import EOS, KEY, audio_message, frames_of, pack, text_message, unpack
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer


def opened(
    server: AppServer, form: str = "PcmMessagePack", max_queue: int | None = 16, **query: str
) -> connect:
    url = httpx2.URL(f"{server.url}/api/tts_streaming", params={"format": form, **query})
    return connect(str(url), additional_headers=KEY, max_size=None, max_queue=max_queue)


@dataclass
class Heard:
    """The messages of a connection; ``code`` and ``reason`` of its close frame are known at its end.

    All that is read of the messages is for the formats with MessagePack.
    """

    messages: list[bytes] = field(default_factory=list)
    code: int = 0
    reason: str = ""

    @property
    def told(self) -> list[dict[str, Any]]:
        return [unpack(message) for message in self.messages]

    @property
    def frames(self) -> list[Samples]:
        return [np.array(message["pcm"], np.float32) for message in self.told if message["type"] == "Audio"]

    @property
    def samples(self) -> Samples:
        return np.concatenate([np.zeros(0, np.float32), *self.frames])

    @property
    def words(self) -> list[tuple[str, float, float]]:
        texts = (message for message in self.told if message["type"] == "Text")
        return [(message["text"], message["start_s"], message["stop_s"]) for message in texts]

    @property
    def said(self) -> list[str]:
        return [word for word, *_ in self.words if word]

    @property
    def others(self) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] not in ("Audio", "Text")]

    async def take(self, websocket: ClientConnection) -> None:
        message = await asyncio.wait_for(websocket.recv(), WITHIN_S)
        assert isinstance(message, bytes)
        self.messages.append(message)


async def rest_of(websocket: ClientConnection, heard: Heard | None = None) -> Heard:
    heard = heard or Heard()
    try:
        while True:
            await heard.take(websocket)
    except ConnectionClosed as closed:
        assert closed.rcvd is not None, "the connection was dropped, not closed"
        heard.code, heard.reason = closed.rcvd.code, closed.rcvd.reason
    return heard


async def hear_all(websocket: ClientConnection, heard: Heard | None = None) -> Heard:
    """Read up to the end, which has to be a good one."""
    heard = await rest_of(websocket, heard)
    assert heard.code == 1000, heard.reason
    return heard


async def say(server: AppServer, words: str, **query: str) -> Heard:
    async with opened(server, **query) as websocket:
        await websocket.send(text_message(words))
        await websocket.send(EOS)
        return await hear_all(websocket)


async def cloned(http_url: str, recording: bytes) -> bytes:
    """The voice of a recording, as Unmute's tts/voice_cloning.py asks for it: its bytes, and no key."""
    kind = {"Content-Type": "application/octet-stream"}
    async with httpx2.AsyncClient(timeout=None) as client:
        answer = await client.post(f"{http_url}/api/voice", content=recording, headers=kind)
    assert answer.status_code == 200
    return answer.content


Told = dict[str, Any]


def listening(server: AppServer, **query: str) -> connect:
    """Connect to the socket that hears."""
    url = httpx2.URL(f"{server.url}/api/asr-streaming", params=query)
    # Any number of messages may wait to be read: a full queue would delay the end of the connection.
    return connect(str(url), additional_headers=KEY, max_size=None, max_queue=None)


async def hear_until(websocket: ClientConnection, kind: str, count: int = 1) -> list[Told]:
    """Read up to the ``count``-th message of that type; return what came."""
    told: list[Told] = []
    while count:
        told.append(unpack(await asyncio.wait_for(websocket.recv(), WITHIN_S)))
        count -= told[-1]["type"] == kind
    return told


async def let_hear(websocket: ClientConnection, samples: Samples, marker: int | None = 7) -> None:
    """Send samples in frames, and a marker after them."""
    for frame in frames_of(samples):
        await websocket.send(audio_message(frame))
    if marker is not None:
        await websocket.send(pack({"type": "Marker", "id": marker}))


def words_of(messages: Iterable[Told]) -> str:
    return " ".join(message["text"] for message in messages if message["type"] == "Word")
