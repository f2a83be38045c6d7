"""Memory of clients that disconnect in mid-speech: it is freed without the garbage collector.

A session holds encoders, texts and half a minute of audio. One that is part of a reference cycle keeps
them until the collector runs, which on a quiet server may be never.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from server import settings
from server.connections import Connections, Phase
from server.lifecycle import accept_connections
from server.metrics import Metrics
from server.network.tcp_connections import TcpTable
from server.network.uvicorn_websocket import WebSocketProtocol
from speech.service import SpeechService
from speech.session.session import SpeechSession
from tests.support.patience import WITHIN_S
from websocket_server import build_service, create_app

LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 40
KEY = "a-key-for-this-test"


@dataclass(frozen=True, slots=True)
class Door:
    path: str
    messages: tuple[str | bytes, ...]


def _json(*messages: dict[str, object]) -> tuple[str, ...]:
    return tuple(json.dumps(message) for message in messages)


DOORS = {
    "kani": Door("/", _json({"type": "tts_stream_request", "data": {"text": LONG}})),
    "voxcpm": Door("/tts", _json({"type": "tts_request", "request_id": "1", "params": {"text": LONG}})),
    "kyutai": Door(
        f"/api/tts_streaming?auth_id={KEY}&format=OggOpusMessagePack",
        (msgspec.msgpack.encode({"type": "Text", "text": LONG}),),
    ),
    "elevenlabs": Door(
        "/v1/text-to-speech/espeak:es/stream-input?output_format=mp3_22050_32",
        _json({"text": " ", "xi_api_key": KEY}, {"text": LONG, "flush": True}),
    ),
    "elevenlabs contexts": Door(
        "/v1/text-to-speech/espeak:es/multi-stream-input?output_format=opus_48000_64",
        _json(
            {"text": " ", "context_id": "a", "xi_api_key": KEY},
            {"text": LONG, "context_id": "a", "flush": True},
            {"text": LONG, "context_id": "b", "flush": True},
        ),
    ),
    "relay": Door("/stream_tts", _json({"action": "start_tts", "text": LONG})),
}


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[str, SpeechService]]:
    chosen = settings.load(
        {},
        environment={
            "KANI_ENGINE": "espeak",
            "KANI_RECOGNIZER": "none",
            "KANI_DATA_DIR": str(folder / "data"),
            "KANI_LOGS_DIR": str(folder / "logs"),
            "KANI_API_KEYS": KEY,
        },
        env_file=folder / "none.env",
    )
    metrics = Metrics("0")
    connections = Connections(chosen.max_connections, metrics.set_connections, chosen.ping_timeout)
    service = build_service(chosen, metrics)
    app = create_app(chosen, service, metrics, connections, WebSocketProtocol.upload_budget)
    await service.start()
    connections.phase = Phase.READY
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
            table = TcpTable(100, metrics.tcp_connection_closed)
            async with accept_connections(
                app, chosen, [listener], WebSocketProtocol, None, asyncio.Event(), table
            ):
                yield url, service
    finally:
        await service.stop()


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> weakref.WeakSet[SpeechSession]:
    """Sessions that are in memory."""
    alive: weakref.WeakSet[SpeechSession] = weakref.WeakSet()
    really = SpeechSession.__init__

    def begin(session: SpeechSession, *args: Any, **settings: Any) -> None:
        alive.add(session)
        really(session, *args, **settings)

    monkeypatch.setattr(SpeechSession, "__init__", begin)
    return alive


@pytest.mark.parametrize("way", ["closed", "cut off"])
@pytest.mark.parametrize("door", DOORS)
async def test_disconnected_client_leaves_no_session(
    tmp_path: Path, sessions: weakref.WeakSet[SpeechSession], door: str, way: str
) -> None:
    async with served(tmp_path) as (url, service):
        gc.collect()
        gc.disable()
        try:
            async with connect(
                url + DOORS[door].path,
                max_size=None,
                close_timeout=0.5,
                additional_headers={"authorization": f"Bearer {KEY}"},
            ) as client:
                for message in DOORS[door].messages:
                    await client.send(message)
                # Audio is long: all other messages together are not.
                taken = 0
                while taken < 5000:
                    taken += len(await client.recv())
                assert sessions
                if way == "cut off":
                    client.transport.abort()
            async with asyncio.timeout(WITHIN_S):
                # One in a cycle would stay for ever, as nothing collects it.
                while sessions:
                    await asyncio.sleep(0.01)
            assert service.state().sessions == 0
        finally:
            gc.enable()
