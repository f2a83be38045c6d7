"""Interruptions: once the server has read one, nothing goes out that was not being sent by then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from kani.core.service import SpeechService
from kani.server.app import create_app
from kani.server.connections import Connections, Phase
from kani.server.metrics import Metrics
from kani.server.network.upload_budget import UploadBudget
from kani.server.settings import load
from tests.protocols.held_socket import HeldSocket, connected
from tests.support.sessions import serving
from tests.support.tone import ToneEngine

WORDS = 12
TEXT = " ".join(letter * 30 for letter in "abcdefghijkl") + "."
"""Words of three seconds, each a chunk of the engine and several messages of most protocols."""

UNDER_WAY = 2
"""Messages that may still come: one was sent and not yet taken, one was being sent."""


def application(service: SpeechService, folder: Path) -> Starlette:
    """The whole application, over a service of the test's."""
    settings = load(
        {}, {"KANI_DATA_DIR": str(folder / "data"), "KANI_LOGS_DIR": str(folder)}, folder / "none"
    )
    metrics = Metrics("test")
    connections = Connections(settings.max_connections, metrics.set_connections, settings.ping_timeout)
    connections.phase = Phase.READY
    return create_app(settings, service, metrics, connections, UploadBudget())


Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Wire:
    """How a protocol asks, interrupts, and answers."""

    path: str
    ask: Messages
    cancel: Messages
    is_audio: Callable[[Any], bool]
    is_end: Callable[[Any], bool]
    query: str = ""


REALTIME_TEXT = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TEXT}]}
OLD, NEW = {"context_id": "old"}, {"context_id": "new"}
WIRES = {
    "kani": Wire(
        "/",
        [{"type": "tts_request", "data": {"text": TEXT, "stream": True}}],
        [{"type": "tts_cancel"}],
        lambda message: message["type"] == "tts_stream_chunk",
        lambda message: message["type"] == "tts_response",
    ),
    "voxcpm": Wire(
        "/tts",
        [{"type": "tts_request", "request_id": "r", "params": {"text": TEXT, "mode": "streaming"}}],
        [{"type": "cancel", "request_id": "r"}],
        lambda message: isinstance(message, bytes),
        lambda message: not isinstance(message, bytes) and message["type"] == "complete",
    ),
    "realtime": Wire(
        "/v1/realtime",
        [{"type": "response.create", "response": {"input": [REALTIME_TEXT]}}],
        [{"type": "response.cancel"}],
        lambda message: message["type"] == "response.output_audio.delta",
        lambda message: message["type"] == "response.done",
        query="model=m",
    ),
    "relay": Wire(
        "/stream_tts",
        [{"action": "start_tts", "text": TEXT}],
        [{"action": "stop"}],
        lambda message: message["type"] == "chunk",
        lambda message: message["type"] == "stopped",
    ),
    "elevenlabs, another context": Wire(
        "/v1/text-to-speech/tone_es/multi-stream-input",
        [{"text": TEXT, "flush": True, **OLD}],
        [{"close_context": True, **OLD}, {"text": "a.", "flush": True, **NEW}],
        lambda message: message["contextId"] == "old" and bool(message["audio"]),
        lambda message: message["contextId"] == "old" and message["isFinal"],
        query="output_format=pcm_8000",
    ),
    "elevenlabs, closed twice": Wire(
        "/v1/text-to-speech/tone_es/multi-stream-input",
        [{"text": TEXT, **OLD}, {"flush": True, **OLD}],
        [{"close_context": True, **OLD}, {"close_context": True, **OLD}],
        lambda message: message["contextId"] == "old" and bool(message["audio"]),
        lambda message: message["contextId"] == "old" and message["isFinal"],
        query="output_format=pcm_8000",
    ),
}


async def take_until(socket: HeldSocket, found: Callable[[Any], bool]) -> list[Any]:
    """Take messages up to the first that is meant."""
    taken = [await socket.take()]
    while not found(taken[-1]):
        taken.append(await socket.take())
    return taken


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
async def test_nothing_goes_out_after_an_interruption_was_read(wire: Wire, tmp_path: Path) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        app = application(service, tmp_path)
        async with connected(app, wire.path, wire.query) as socket:
            await socket.send(*wire.ask)
            await take_until(socket, wire.is_audio)
            # Nearly all that is made by now has still to be sent.
            while len(engine.words) < WORDS:
                await socket.until_read()
            await socket.send(*wire.cancel)
            await socket.until_read()
            after = await take_until(socket, wire.is_end)
            assert sum(map(wire.is_audio, after)) <= UNDER_WAY
            assert engine.under_way == 0


async def test_stopped_broadcast_reaches_no_listener_that_lags(tmp_path: Path) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service, AsyncExitStack() as sockets:
        app = application(service, tmp_path)
        listener = await sockets.enter_async_context(connected(app, "/client"))
        agent = await sockets.enter_async_context(connected(app, "/agent"))
        await agent.send({"action": "start_tts", "text": TEXT})
        while len(engine.words) < WORDS:
            await agent.until_read()
        await agent.send({"action": "stop"})
        await agent.until_read()
        after = await take_until(listener, WIRES["relay"].is_end)
        assert sum(map(WIRES["relay"].is_audio, after)) <= UNDER_WAY
        await sockets.aclose()
        # It waits for the agents to come.
        (waiting,) = (task for task in asyncio.all_tasks() if task.get_name() == "relay broadcast")
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_an_interrupted_context_has_given_back_its_slot_when_the_next_asks(tmp_path: Path) -> None:
    wire = WIRES["elevenlabs, another context"]
    engine = ToneEngine(places=1)
    engine.allow = 0
    async with serving(engine, tmp_path) as service:
        async with connected(application(service, tmp_path), wire.path, wire.query) as socket:
            await socket.send(*wire.ask)
            await engine.permit(2)
            await take_until(socket, wire.is_audio)
            await socket.send(*wire.cancel)
            old_ended = await take_until(socket, wire.is_end)
            await engine.permit(1)
            # The words of the old one are over: the first step of all goes to the new one.
            assert [word[0] for word in engine.words] == ["a", "b", "a"]
            assert sum(map(wire.is_audio, old_ended)) <= 2 * 3 / 0.25
