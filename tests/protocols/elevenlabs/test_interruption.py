"""Closed contexts on ``multi-stream-input``: one with its text ended has lower priority, but is spoken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import Message

from kani.core.service import SpeechService
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.websocket import routes
from kani.protocols.elevenlabs.websocket.priority_sender import PrioritySender
from tests.clients.elevenlabs.wire import ReceivedSpeech
from tests.core.session.test_session import serving
from tests.support.tone import ToneEngine

OLD = "alfa beta gama delta zeta iota kapa lambda sigma omega tau fi. "
NEW = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce. "


class Socket:
    """A client of the application in this event loop."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.outgoing: asyncio.Queue[Message] = asyncio.Queue()
        self.contexts: dict[str, ReceivedSpeech] = {}
        self.order: list[str] = []

    async def send(self, *messages: dict[str, object]) -> None:
        for message in messages:
            await self.incoming.put({"type": "websocket.receive", "text": json.dumps(message)})

    async def take(self) -> None:
        message = json.loads((await self.outgoing.get())["text"])
        name = message["contextId"]
        self.order.append(name)
        self.contexts.setdefault(name, ReceivedSpeech()).add(message)

    async def until_final(self, name: str) -> ReceivedSpeech:
        while name not in self.contexts or not self.contexts[name].final:
            await self.take()
        return self.contexts[name]


@asynccontextmanager
async def connected(service: SpeechService) -> AsyncIterator[Socket]:
    app = Starlette(routes=routes.routes(service, ElevenLabsSettings(max_text=1000)))
    socket = Socket()
    await socket.incoming.put({"type": "websocket.connect"})
    scope = {
        "type": "websocket",
        "path": "/v1/text-to-speech/tone_es/multi-stream-input",
        "query_string": b"output_format=pcm_8000&auto_mode=true",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "subprotocols": [],
    }
    serving = asyncio.create_task(app(scope, socket.incoming.get, socket.outgoing.put))
    assert (await socket.outgoing.get())["type"] == "websocket.accept"
    yield socket
    await socket.incoming.put({"type": "websocket.disconnect", "code": 1000})
    await serving


def context(name: str, text: str) -> list[dict[str, object]]:
    return [{"text": " ", "context_id": name}, {"text": text, "context_id": name}]


async def test_new_context_is_synthesized_before_closed_one(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True, places=2)
    engine.allow = 0
    async with serving(engine, tmp_path) as service, connected(service) as socket:
        await socket.send(*context("old", OLD))
        await engine.permit(2)
        ended = {"context_id": "old", "flush": True}
        await socket.send(ended, {"context_id": "old", "close_context": True}, *context("new", NEW))
        while engine.under_way < 2:
            await asyncio.sleep(0)
        for _ in range(4):
            await engine.permit(1)
        assert {"uno", "dos", "tres"} <= set(engine.words[2:6])
        await engine.permit(None)
        await socket.send({"context_id": "new", "close_context": True})
        new = await socket.until_final("new")
        old = await socket.until_final("old")
    assert (old.text, new.text) == (OLD, NEW)
    assert old.error is new.error is None


async def test_context_that_is_closed_before_it_was_heard_is_spoken(tmp_path: Path) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service, connected(service) as socket:
        for name in ("one", "two", "three"):
            await socket.send(*context(name, OLD), {"context_id": name, "close_context": True})
        assert [(await socket.until_final(name)).text for name in ("one", "two", "three")] == [OLD] * 3


async def test_context_that_is_closed_while_it_is_heard_is_spoken_if_nothing_else_is(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True)
    engine.allow = 0
    async with serving(engine, tmp_path) as service, connected(service) as socket:
        await socket.send(*context("a", OLD))
        await engine.permit(3)
        await socket.take()
        # An open context without text is no answer yet.
        await socket.send({"context_id": "a", "close_context": True}, {"text": " ", "context_id": "b"})
        await engine.permit(None)
        assert (await socket.until_final("a")).text == OLD


async def test_reused_id_waits_for_closed_context(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True)
    engine.allow = 0
    async with serving(engine, tmp_path) as service, connected(service) as socket:
        await socket.send(*context("a", OLD))
        await engine.permit(1)
        await socket.send({"context_id": "a", "close_context": True}, *context("a", NEW))
        await engine.permit(None)
        old = await socket.until_final("a")
        assert old.text == OLD
        del socket.contexts["a"]
        await socket.send({"context_id": "a", "close_context": True})
        assert (await socket.until_final("a")).text == NEW


async def test_sender_sends_low_priority_messages_last() -> None:
    sent: list[str] = []
    reads = asyncio.Semaphore(0)

    async def send(message: str) -> None:
        await reads.acquire()
        sent.append(message)

    outgoing = PrioritySender(send)
    under_way = asyncio.create_task(outgoing.send("old 1", low_priority=lambda: True))
    await asyncio.sleep(0)
    others = [asyncio.create_task(outgoing.send(f"new {number}")) for number in range(2)]
    late = asyncio.create_task(outgoing.send("old 2", low_priority=lambda: True))
    others.append(asyncio.create_task(outgoing.send("new 2")))
    # All of them have begun before the first message is read.
    await asyncio.sleep(0)
    for _ in range(5):
        reads.release()
    await asyncio.gather(under_way, late, *others)
    assert sent == ["old 1", "new 0", "new 1", "new 2", "old 2"]
