"""Moonshine's recogniser over a socket, with a tiny random checkpoint on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from websockets.asyncio.client import connect

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from tests.clients.kyutai.wire import FRAME, KEY, RATE, audio_message, frames_of, pack, unpack
from tests.engines.moonshine.random_checkpoint import random_checkpoint
from tests.support.app_server import AppServer, app_server
from tests.support.espeak_audio import audio
from tests.support.patience import WITHIN_S

SILENCE_FRAMES = 20


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    folder = random_checkpoint(tmp_path_factory.mktemp("moonshine") / "moonshine-streaming-tiny")
    recognizer = {"KANI_RECOGNIZER": "moonshine", "KANI_MOONSHINE_MODEL": str(folder)}
    threads = torch.get_num_threads()
    # Networks this small are far slower on two threads beside a busy process.
    torch.set_num_threads(1)
    with app_server(tmp_path_factory.mktemp("app"), **recognizer) as running:
        yield running
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def speech() -> Samples:
    import soxr

    client = EspeakClient.shared()
    said = audio(client, "The old bakery opens early in the morning.", "en-us") / 2**15
    return soxr.resample(said.astype(np.float32), client.sample_rate, RATE).astype(np.float32)


async def test_socket_hears_words_and_returns_the_marker(app: AppServer, speech: Samples) -> None:
    url = f"{app.url}/api/asr-streaming"
    received: list[dict[str, Any]] = []
    async with connect(url, additional_headers=KEY, max_size=None) as websocket:
        assert unpack(await websocket.recv()) == {"type": "Ready"}
        for frame in frames_of(speech):
            await websocket.send(audio_message(frame))
        await websocket.send(pack({"type": "Marker", "id": 9}))
        for _ in range(SILENCE_FRAMES):
            await websocket.send(audio_message(np.zeros(FRAME, np.float32)))
        while not received or received[-1]["type"] != "Marker":
            received.append(unpack(await asyncio.wait_for(websocket.recv(), WITHIN_S)))
    words = [message for message in received if message["type"] == "Word"]
    starts = [word["start_time"] for word in words]
    assert len(words) > 1 and starts == sorted(starts) and starts[-1] < len(speech) / RATE + 0.1
    assert received[-1]["id"] == 9


async def test_recordings_health_and_languages_name_the_recogniser(app: AppServer, speech: Samples) -> None:
    async with httpx.AsyncClient(base_url=app.http_url, timeout=WITHIN_S) as client:
        form = {"model": "whisper-1", "response_format": "verbose_json"}
        file = {"file": ("a.wav", wav(speech, RATE))}
        answer = (await client.post("/v1/audio/transcriptions", files=file, data=form)).json()
        assert answer["language"] == "english" and answer["text"].split()
        assert (await client.get("/health")).json()["recognizer"] == {
            "name": "moonshine",
            "version": "moonshine-streaming-tiny",
            "loaded": True,
            "live": True,
            "live_delay": None,
        }
        refused = await client.post("/v1/audio/transcriptions", files=file, data=form | {"language": "de"})
        assert refused.status_code == 400 and "known: en" in refused.text
