"""Kyutai's recogniser by Kyutai's protocol, with a tiny random checkpoint on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from websockets.asyncio.client import ClientConnection, connect

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from tests.clients.kyutai.wire import FRAME, KEY, RATE, audio_message, frames_of, pack, unpack
from tests.engines.kyutai.random_checkpoint import random_checkpoint
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer, app_server

FRAMES = 20
SILENCE_FRAMES = 20


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    folder = random_checkpoint(tmp_path_factory.mktemp("kyutai") / "stt-1b-en_fr")
    recognizer = {"KANI_RECOGNIZER": "kyutai", "KANI_RECOGNIZER_MODEL": str(folder)}
    threads = torch.get_num_threads()
    # Networks this small are far slower on two threads beside a busy process.
    torch.set_num_threads(1)
    with app_server(tmp_path_factory.mktemp("app"), KANI_PRECISION="float32", **recognizer) as running:
        yield running
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def noise() -> Samples:
    return np.random.default_rng(2).normal(0, 0.3, FRAME * FRAMES).astype(np.float32)


async def _until(websocket: ClientConnection, kind: str) -> AsyncIterator[dict[str, Any]]:
    message: dict[str, Any] = {}
    while message.get("type") != kind:
        message = unpack(await asyncio.wait_for(websocket.recv(), WITHIN_S))
        yield message


async def _listen(app: AppServer, samples: Samples) -> list[dict[str, Any]]:
    url = f"{app.url}/api/asr-streaming"
    async with connect(url, additional_headers=KEY, max_size=None) as websocket:
        assert unpack(await websocket.recv()) == {"type": "Ready"}
        for frame in frames_of(samples):
            await websocket.send(audio_message(frame))
        await websocket.send(pack({"type": "Marker", "id": 9}))
        # As every client of moshi-server does: a marker comes back once audio after it has been heard.
        silence = np.zeros(FRAME, np.float32)
        for _ in range(SILENCE_FRAMES):
            await websocket.send(audio_message(silence))
        return [message async for message in _until(websocket, "Marker")]


async def test_socket_hears_alone_what_it_hears_beside_others(app: AppServer, noise: Samples) -> None:
    alone = await _listen(app, noise)
    assert sum(message["type"] == "Word" for message in alone) > 2
    steps = [message for message in alone if message["type"] == "Step"]
    assert [step["step_idx"] for step in steps] == list(range(len(steps))) and len(steps) > FRAMES
    assert all(len(step["prs"]) == 4 and all(0 <= p <= 1 for p in step["prs"]) for step in steps)
    beside = await asyncio.gather(*(_listen(app, part) for part in (noise, noise[FRAME:], noise)))

    def words(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [message for message in messages if message["type"] in ("Word", "EndWord")]

    assert words(beside[0]) == words(beside[2]) == words(alone) != words(beside[1])


async def test_recordings_health_and_languages_name_the_recogniser(app: AppServer, noise: Samples) -> None:
    async with httpx.AsyncClient(base_url=app.http_url, timeout=WITHIN_S) as client:
        assert (await client.get("/health")).json()["recognizer"] | {"loaded": True} == {
            "name": "kyutai",
            "version": "stt-1b-en_fr",
            "loaded": True,
            "live": True,
            "live_delay": None,
        }
        file = wav(noise, RATE)
        sent = await client.post("/api/asr-streaming", content=file, headers=KEY)
        assert sum(message["type"] == "Word" for message in sent.json()) > 2
        form = {"model": "whisper-1", "response_format": "verbose_json", "language": "fr"}
        form["timestamp_granularities[]"] = "word"
        sent = await client.post("/v1/audio/transcriptions", files={"file": ("a.wav", file)}, data=form)
        answer = sent.json()
        assert answer["language"] == "french"
        assert answer["duration"] == pytest.approx(len(noise) / RATE, abs=0.1)
        assert answer["text"].split() == [word["word"] for word in answer["words"]] != []
        refused = await client.post(
            "/v1/audio/transcriptions",
            files={"file": ("a.wav", file)},
            data=form | {"language": "de"},
        )
        assert refused.status_code == 400 and "known: en, fr" in refused.text
    url = f"{app.url}/api/asr-streaming?language=de"
    async with connect(url, additional_headers=KEY) as websocket:
        error = unpack(await websocket.recv())
        assert error["type"] == "Error" and "known: en, fr" in error["message"]
