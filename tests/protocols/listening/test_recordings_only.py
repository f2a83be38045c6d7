"""A recogniser that is too slow for live speech: each protocol says so, and recordings are transcribed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from wyoming.event import Event

from kani.core.audio.pcm import wav
from tests.clients import unmute_page
from tests.clients.kyutai.wire import KEY, unpack
from tests.clients.openai_realtime import loud, realtime
from tests.protocols.wyoming.exchange import ask, chunk
from tests.support.loudness import RATE, LoudnessRecognizer
from tests.support.patience import WITHIN_S
from tests.support.serving import InProcessServer, serving

REASON = "whisper-large is too slow on this machine for live speech"
SPEECH = wav(loud(2.0, RATE), RATE)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[InProcessServer]:
    recognizer = LoudnessRecognizer()
    recognizer.info = replace(recognizer.info, recordings_only=REASON, live_delay_s=4.321)
    settings = {"KANI_WYOMING": "true", "KANI_COMPAT": "1", "KANI_LLM_URL": "http://localhost:1/v1"}
    async with serving(tmp_path, recognizer, **settings) as started:
        yield started


async def test_realtime_names_the_reason(server: InProcessServer) -> None:
    async with realtime(server.url) as client:
        await client.append(loud(0.4))
        error = (await client.until("error"))[-1]["error"]
    assert error["message"].startswith(REASON) and error["type"] == "server_error"


async def test_kyutai_names_the_reason(server: InProcessServer) -> None:
    async with connect(f"{server.url}/api/asr-streaming", additional_headers=KEY) as websocket:
        error = unpack(await websocket.recv())
        assert error["type"] == "Error" and error["message"].startswith(REASON)
        with pytest.raises(ConnectionClosedError, match="1011"):
            await websocket.recv()


async def test_wyoming_names_the_reason_and_offers_no_recognition(server: InProcessServer) -> None:
    port = server.streams["Wyoming"]
    (error,) = await ask(port, Event("transcribe"), chunk(bytes(2560)), last="error")
    assert error.data["text"].startswith(REASON)
    (info,) = await ask(port, Event("describe"), last="info")
    assert info.data["asr"] == [] and info.data["tts"]


async def test_recordings_are_transcribed_by_each_protocol(server: InProcessServer) -> None:
    file = {"file": ("a.wav", SPEECH)}
    async with httpx.AsyncClient(base_url=server.http_url, timeout=WITHIN_S) as client:
        openai = await client.post("/v1/audio/transcriptions", files=file, data={"model": "whisper-1"})
        eleven = await client.post("/v1/speech-to-text", files=file, data={"model_id": "scribe_v1"})
        kyutai = await client.post("/api/asr-streaming", content=SPEECH, headers=KEY)
    assert "bum" in openai.json()["text"] and "bum" in eleven.json()["text"]
    assert "bum" in kyutai.json()[0]["text"]


async def test_lists_and_health_offer_no_live_speech(server: InProcessServer) -> None:
    async with httpx.AsyncClient(base_url=server.http_url, timeout=WITHIN_S) as client:
        whole = (await client.get("/health")).json()
        models = {one["id"] for one in (await client.get("/v1/models")).json()["data"]}
        modules = (await client.get("/api/modules_info")).json()
    health = whole["recognizer"]
    assert (health["live"], health["live_delay"]) == (False, 4.32)
    assert not whole["conversations"]
    assert "whisper-1" in models and "gpt-realtime" not in models
    assert [one["path"] for one in modules] == ["/api/tts_streaming"]
    assert f"only recordings: {REASON}" in server.banner
    assert not (await unmute_page.health(f"http://localhost:{server.compat['Kani REST']}"))["stt_up"]
