"""Cost of an answer: memory, if it is sent whole, and function calls for a chunk of a stream."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import Message

import kani
from kani.protocols.kani.http import http_routes
from kani.protocols.kani.websocket import websocket_routes
from tests.support.event_loop import settle
from tests.support.patience import happens
from tests.support.servers.held_socket import connected
from tests.support.sessions import serving
from tests.support.tone import ToneEngine

BYTES = 100_000
"""Two seconds of audio and a bit."""

SHORT, LONG = "Hola.", "Hola a todos. " * 10


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Starlette]:
    async with serving(ToneEngine(), tmp_path) as service:
        service.budgets.whole_answers.limit = BYTES
        service.budgets.whole_answers.small = 0
        yield Starlette(routes=[*websocket_routes(service), *http_routes(service)])


async def test_websocket_and_rest_calls_share_memory_budget(app: Starlette) -> None:
    async with (
        connected(app, "/") as socket,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client,
    ):

        async def ask(kind: str, text: str) -> dict[str, str]:
            await socket.send({"type": kind, "data": {"text": text}})
            while (answer := await socket.take())["type"] == "tts_stream_chunk":
                pass
            told: dict[str, str] = answer["data"]
            return told

        for _ in range(3):
            refused = await ask("tts_request", LONG)
            assert refused["status"] == "error" and "use tts_stream_request" in refused["message"]
            answer = await client.post("/tts", json={"text": LONG})
            assert (answer.status_code, "use tts_stream_request" in answer.json()["detail"]) == (503, True)
            for _ in range(3):
                assert (await ask("tts_request", SHORT))["status"] == "success"
                assert (await client.post("/tts", json={"text": SHORT})).status_code == 200
        assert (await ask("tts_stream_request", LONG))["status"] == "completed"
        assert (await client.post("/stream-tts", json={"text": LONG})).status_code == 200


MOST_CALLS = 60
"""Of one word that the engine says, with its share of the messages."""

FIRST = 4
"""Words before those that are counted: the first have to load tables, and to fill the resampler."""

PACKAGE = str(Path(kani.__file__).parent)
WORDS = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce".split()


async def test_a_chunk_goes_through_few_functions(tmp_path: Path) -> None:
    """A bound, by which a step that all streams take for the sake of a few is seen."""
    engine = ToneEngine(rests=True)
    engine.allow = 0
    received: asyncio.Queue[Message] = asyncio.Queue()
    sent: list[str] = []
    calls = 0

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            sent.append(json.loads(message["text"])["type"])

    async with serving(engine, tmp_path) as service:
        (route,) = websocket_routes(service)
        scope = {"type": "websocket", "path": "/", "headers": [], "client": ("127.0.0.1", 1)}
        serves = asyncio.create_task(route.app(scope, received.get, send))  # type: ignore[attr-defined]
        data = {"text": " ".join(WORDS) + ".", "config": {"language": "es"}}
        await received.put({"type": "websocket.connect"})
        await received.put(
            {"type": "websocket.receive", "text": json.dumps({"type": "tts_stream_request", "data": data})}
        )
        await engine.permit(FIRST)
        await happens(lambda: sent)
        await settle()
        before = len(sent)
        sys.setprofile(note)
        try:
            for _ in WORDS[FIRST:-1]:
                await engine.permit(1)
                await settle()
        finally:
            sys.setprofile(None)
        # The resampler holds back some of the shorter words.
        assert len(sent) - before >= len(WORDS[FIRST:-1]) // 2
        assert 20 <= calls / len(WORDS[FIRST:-1]) <= MOST_CALLS
        await engine.permit(None)
        await received.put({"type": "websocket.disconnect", "code": 1000})
        await serves
