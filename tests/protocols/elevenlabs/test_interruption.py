"""Contexts on ``multi-stream-input`` beside each other: those that are closed, refused or broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kani.protocols.elevenlabs.websocket.priority_sender import PrioritySender
from tests.clients.elevenlabs.wire import ReceivedSpeech
from tests.protocols import held_socket
from tests.protocols.elevenlabs.conftest import tone_app
from tests.protocols.held_socket import HeldSocket
from tests.support.tone import ToneEngine

OLD = "alfa beta gama delta zeta iota kapa lambda sigma omega tau fi. "
NEW = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce. "


class Contexts:
    """What came on a WebSocket: its contexts."""

    def __init__(self, socket: HeldSocket) -> None:
        self.socket = socket
        self.send = socket.send
        self.contexts: dict[str, ReceivedSpeech] = {}

    async def take(self) -> None:
        message = await self.socket.take()
        self.contexts.setdefault(message["contextId"], ReceivedSpeech()).add(message)

    async def until_final(self, name: str) -> ReceivedSpeech:
        while name not in self.contexts or not self.contexts[name].final:
            await self.take()
        return self.contexts[name]


@asynccontextmanager
async def connected(folder: Path, engine: ToneEngine, **limits: float) -> AsyncIterator[Contexts]:
    async with tone_app(folder, 1000, engine, **limits) as served:
        path = "/v1/text-to-speech/tone_es/multi-stream-input"
        async with held_socket.connected(served.app, path, "output_format=pcm_8000&auto_mode=true") as socket:
            yield Contexts(socket)


def context(name: str, text: str) -> list[dict[str, object]]:
    return [{"text": " ", "context_id": name}, {"text": text, "context_id": name}]


async def test_new_context_is_synthesized_before_closed_one(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True, places=2)
    engine.allow = 0
    async with connected(tmp_path, engine) as socket:
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
    async with connected(tmp_path, engine) as socket:
        for name in ("one", "two", "three"):
            await socket.send(*context(name, OLD), {"context_id": name, "close_context": True})
        assert [(await socket.until_final(name)).text for name in ("one", "two", "three")] == [OLD] * 3


async def test_context_that_is_closed_while_it_is_heard_is_spoken_if_nothing_else_is(tmp_path: Path) -> None:
    engine = ToneEngine(rests=True)
    engine.allow = 0
    async with connected(tmp_path, engine) as socket:
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
    async with connected(tmp_path, engine) as socket:
        await socket.send(*context("a", OLD))
        await engine.permit(1)
        await socket.send({"context_id": "a", "close_context": True}, *context("a", NEW))
        await engine.permit(None)
        old = await socket.until_final("a")
        assert old.text == OLD
        del socket.contexts["a"]
        await socket.send({"context_id": "a", "close_context": True})
        assert (await socket.until_final("a")).text == NEW


@pytest.mark.parametrize(
    ("limits", "error"),
    [({"max_sessions": 1}, "system_busy"), ({"rate_per_minute": 1}, "too_many_concurrent_requests")],
)
async def test_limit_ends_context_alone(tmp_path: Path, limits: dict[str, int], error: str) -> None:
    engine = ToneEngine()
    engine.allow = 0
    async with connected(tmp_path, engine, **limits) as socket:
        await socket.send(*context("a", OLD), *context("b", NEW))
        refused = (await socket.until_final("b")).error
        assert refused is not None and (refused["error"], refused["code"]) == (error, 1008)
        assert list(socket.contexts) == ["b"]


async def test_engine_failure_ends_context_alone(tmp_path: Path) -> None:
    async with connected(tmp_path, ToneEngine()) as socket:
        for name, text in (("a", "uno dos. kaputt. "), ("b", "tres. ")):
            await socket.send(*context(name, text), {"close_context": True, "context_id": name})
        broken, good = await socket.until_final("a"), await socket.until_final("b")
        error = {"code": 1011, "error": "internal_server_error", "message": "the tone broke"}
        assert broken.error == error | {"contextId": "a", "context_id": "a"}
        assert broken.text.startswith("uno dos")
        assert (good.text, good.error) == ("tres. ", None)


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
