"""Kani's answers that are sent whole, where there is little memory for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.types import Message

from kani.protocols.kani.http import http_routes
from kani.protocols.kani.websocket import websocket_routes
from kani.protocols.shared.memory_budget import MemoryBudget
from kani.server.metrics import Metrics
from kani.server.settings import load
from kani.server.speech_service import build_service

BYTES = 100_000
"""Two seconds of audio and a bit."""

GUARD_S = 60.0
SHORT, LONG = "Hola.", "Hola a todos. " * 10


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    chosen = load({"engine": "espeak", "data_dir": tmp_path}, {}, tmp_path / "none")
    service = build_service(chosen, Metrics("0"))
    await service.start()
    budget = MemoryBudget(BYTES, alternative="ask for a stream")
    yield Starlette(routes=[*websocket_routes(service, budget), *http_routes(service, budget)])
    await service.stop()


async def test_rest_calls_share_memory_budget(app: Starlette) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        for _ in range(3):
            refused = await client.post("/tts", json={"text": LONG})
            assert (refused.status_code, "ask for a stream" in refused.json()["detail"]) == (503, True)
            for _ in range(3):
                assert (await client.post("/tts", json={"text": SHORT})).status_code == 200
        assert (await client.post("/stream-tts", json={"text": LONG})).status_code == 200


async def test_websocket_shares_memory_budget(app: Starlette) -> None:
    received: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    serving = asyncio.create_task(app(scope, received.get, sent.put))
    assert (await asyncio.wait_for(sent.get(), GUARD_S))["type"] == "websocket.accept"

    async def ask(kind: str, text: str) -> dict[str, str]:
        message = {"type": kind, "data": {"text": text}}
        received.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
        while True:
            answer = json.loads((await asyncio.wait_for(sent.get(), GUARD_S))["text"])
            if answer["type"] != "tts_stream_chunk":
                told: dict[str, str] = answer["data"]
                return told

    for _ in range(3):
        refused = await ask("tts_request", LONG)
        assert refused["status"] == "error" and "ask for a stream" in refused["message"]
        for _ in range(3):
            assert (await ask("tts_request", SHORT))["status"] == "success"
    assert (await ask("tts_stream_request", LONG))["status"] == "completed"
    received.put_nowait({"type": "websocket.disconnect", "code": 1000})
    await serving
