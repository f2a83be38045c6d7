"""How many of the server's functions a chunk of a stream goes through, from the engine to the socket."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from starlette.types import Message

import kani
from kani.protocols.kani.websocket import websocket_routes
from kani.protocols.shared.memory_budget import MemoryBudget
from tests.support.event_loop import settle
from tests.support.sessions import serving
from tests.support.tone import ToneEngine

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
        (route,) = websocket_routes(service, MemoryBudget(1 << 20, alternative="stream"))
        scope = {"type": "websocket", "path": "/", "headers": [], "client": ("127.0.0.1", 1)}
        serves = asyncio.create_task(route.app(scope, received.get, send))  # type: ignore[attr-defined]
        data = {"text": " ".join(WORDS) + ".", "config": {"language": "es"}}
        await received.put({"type": "websocket.connect"})
        await received.put(
            {"type": "websocket.receive", "text": json.dumps({"type": "tts_stream_request", "data": data})}
        )
        await engine.permit(FIRST)
        while not sent:
            await asyncio.sleep(0)
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
