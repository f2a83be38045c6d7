"""Clients that disconnect in mid-speech: their work ends, and no memory waits for the garbage collector.

A session holds encoders, texts and half a minute of audio. One that is part of a reference cycle keeps
them until the collector runs, which on a quiet server may be never.
"""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect

from kani.core.session.session import SpeechSession
from tests.clients.openai_realtime import text_item
from tests.protocols.conftest import Serve
from tests.protocols.health import counters, wait_for_idle
from tests.support.patience import WITHIN_S

LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 40
KEY = "a-key-for-this-test"
HEADERS = {"authorization": f"Bearer {KEY}"}
ELEVENLABS = "/v1/text-to-speech/tone_es"


@dataclass(frozen=True, slots=True)
class Door:
    path: str
    messages: tuple[str | bytes, ...]
    audio: int = 5000  # bytes that are received first: all other messages together are not as long


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
        f"{ELEVENLABS}/stream-input?output_format=mp3_22050_32",
        _json({"text": " ", "xi_api_key": KEY}, {"text": LONG, "flush": True}),
    ),
    "elevenlabs contexts": Door(
        f"{ELEVENLABS}/multi-stream-input?output_format=opus_48000_64",
        _json(
            {"text": " ", "context_id": "a", "xi_api_key": KEY},
            {"text": LONG, "context_id": "a", "flush": True},
            {"text": LONG, "context_id": "b", "flush": True},
        ),
    ),
    "openai": Door(
        "/v1/realtime?model=m", _json({"type": "response.create", "response": {"input": [text_item(LONG)]}})
    ),
    "relay": Door("/stream_tts", _json(*[{"action": "start_tts", "text": LONG}] * 2)),
    "relay, unfinished text": Door("/stream_tts", _json({"action": "append_tts", "text": "Nunca "}), 0),
}


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[weakref.WeakSet[SpeechSession]]:
    """Sessions that are in memory; nothing collects those in a cycle."""
    alive: weakref.WeakSet[SpeechSession] = weakref.WeakSet()
    really = SpeechSession.__init__

    def begin(session: SpeechSession, *args: Any, **settings: Any) -> None:
        alive.add(session)
        really(session, *args, **settings)

    monkeypatch.setattr(SpeechSession, "__init__", begin)
    gc.collect()
    gc.disable()
    yield alive
    gc.enable()


@pytest.mark.parametrize("way", ["closed", "cut off"])
@pytest.mark.parametrize("door", DOORS)
async def test_disconnected_client_leaves_no_session(
    serve: Serve, sessions: weakref.WeakSet[SpeechSession], door: str, way: str
) -> None:
    server = await serve(KANI_API_KEYS=KEY)
    server.engine.allow = 100
    asked = DOORS[door]
    async with (
        asyncio.timeout(WITHIN_S),
        connect(
            server.url + asked.path,
            max_size=None,
            max_queue=None,
            close_timeout=0.5,
            additional_headers=HEADERS,
        ) as client,
    ):
        for message in asked.messages:
            await client.send(message)
        taken = 0
        while taken < asked.audio:
            taken += len(await client.recv())
        while not sessions:
            await asyncio.sleep(0.01)
        if way == "cut off":
            client.transport.abort()
    async with asyncio.timeout(WITHIN_S):
        while sessions:
            await asyncio.sleep(0.01)
    await wait_for_idle(server)
    assert not server.engine.under_way
    assert (await counters(server))["cancellations"] >= 1


STREAMED = {
    "/stream-tts": {"text": LONG, "chunk_size": 1},
    "/api/tts_streaming": {"text": LONG, "voice": ""},
    f"{ELEVENLABS}/stream": {"text": LONG},
    f"{ELEVENLABS}/stream/with-timestamps": {"text": LONG},
    "/v1/audio/speech": {"input": LONG, "voice": "tone_es"},
}
WHOLE = {
    "/tts": {"text": LONG},
    ELEVENLABS: {"text": LONG},
    f"{ELEVENLABS}/with-timestamps": {"text": LONG},
    "/api/voices/tone_es/audio": None,
}


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("path", [*STREAMED, *WHOLE])
async def test_disconnected_call_leaves_no_session(
    serve: Serve, sessions: weakref.WeakSet[SpeechSession], path: str, steps: int
) -> None:
    server = await serve(KANI_API_KEYS=KEY)
    server.engine.allow = steps
    begun = asyncio.Event()
    body = (STREAMED | WHOLE)[path]

    async def ask(client: httpx.AsyncClient) -> None:
        async with client.stream("POST" if body else "GET", path, json=body) as answer:
            async for _ in answer.aiter_raw():
                begun.set()

    async with httpx.AsyncClient(base_url=server.http_url, headers=HEADERS) as client:
        asking = asyncio.create_task(ask(client))
        async with asyncio.timeout(WITHIN_S):
            while not server.engine.under_way or server.engine.steps < steps:
                await asyncio.sleep(0.001)
            if steps and path in STREAMED:
                await begun.wait()
        asking.cancel()
        await asyncio.wait([asking])
    async with asyncio.timeout(WITHIN_S):
        while sessions:
            await asyncio.sleep(0.01)
    await wait_for_idle(server)
    assert not server.engine.under_way and server.engine.steps == steps
