"""A text spoken by each protocol with a WebSocket, as its own clients ask for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from websockets.asyncio.client import connect

PUBLIC = {"kyutai-api-key": "public_token"}
Headers = Mapping[str, str]


async def kani(url: str, text: str, headers: Headers, **more: Any) -> dict[str, Any]:
    async with connect(f"{url}/", additional_headers=headers, max_size=None) as socket:
        await socket.send(json.dumps({"type": "tts_request", "data": {"text": text, **more}}))
        answer: dict[str, Any] = json.loads(await socket.recv())
        return answer


async def kyutai(url: str, text: str, headers: Headers) -> None:
    path = "/api/tts_streaming?format=PcmMessagePack"
    async with connect(f"{url}{path}", additional_headers={**headers, **PUBLIC}, max_size=None) as socket:
        for word in text.split():
            await socket.send(msgspec.msgpack.encode({"type": "Text", "text": word}))
        await socket.send(msgspec.msgpack.encode({"type": "Eos"}))
        assert [message async for message in socket]


async def voxcpm(url: str, text: str, headers: Headers) -> None:
    async with connect(f"{url}/tts", additional_headers=headers, max_size=None) as socket:
        request = {"type": "tts_request", "request_id": "1", "params": {"text": text}}
        await socket.send(json.dumps(request))
        while isinstance(message := await socket.recv(), bytes) or json.loads(message)["type"] == "progress":
            pass
        assert "complete" in message


async def relay(url: str, text: str, headers: Headers) -> None:
    async with connect(f"{url}/stream_tts", additional_headers=headers, max_size=None) as socket:
        await socket.send(json.dumps({"action": "start_tts", "text": text}))
        while json.loads(await socket.recv())["type"] == "chunk":
            pass


async def elevenlabs(url: str, text: str, headers: Headers, voice: str = "default") -> None:
    path = f"/v1/text-to-speech/{voice}/stream-input"
    async with connect(f"{url}{path}", additional_headers=headers, max_size=None) as socket:
        for piece in (f"{text} ", ""):
            await socket.send(json.dumps({"text": piece}))
        assert [message async for message in socket]
