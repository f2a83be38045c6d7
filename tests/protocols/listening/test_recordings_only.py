"""A recogniser that is too slow for live speech: each protocol says so, and recordings are transcribed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError
from wyoming.event import Event

from tests.clients import unmute_page
from tests.clients.kyutai.wire import KEY
from tests.clients.openai_realtime import loud, quiet, realtime
from tests.protocols.listening.doors import LIVE, RECORDINGS, Door, House, Refused
from tests.protocols.listening.house import furnished
from tests.protocols.wyoming.exchange import ask
from tests.support.loudness import LoudnessRecognizer
from tests.support.patience import WITHIN_S

REASON = "whisper-large is too slow on this machine for live speech"
SPEECH = np.concatenate([loud(1.0), quiet(1.0)])


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    recognizer = LoudnessRecognizer()
    recognizer.info = replace(recognizer.info, recordings_only=REASON, live_delay_s=4.321)
    async with furnished(tmp_path, monkeypatch, recognizer) as opened:
        yield opened


@pytest.mark.parametrize("door", LIVE, ids=[door.__name__ for door in LIVE])
async def test_live_speech_is_refused_with_the_reason(house: House, door: Door) -> None:
    with pytest.raises(Refused, match=f"^{REASON}"):
        await door(house, SPEECH, ())


@pytest.mark.parametrize("door", RECORDINGS, ids=[door.__name__ for door in RECORDINGS])
async def test_recordings_are_transcribed(house: House, door: Door) -> None:
    assert (await door(house, SPEECH, ())).endswith("m, hm.")


async def test_refusals_are_faults_of_the_server(house: House) -> None:
    async with realtime(house.server.url) as client:
        await client.append(loud(0.4))
        assert (await client.until("error"))[-1]["error"]["type"] == "server_error"
    async with connect(f"{house.server.url}/api/asr-streaming", additional_headers=KEY) as websocket:
        await websocket.recv()
        with pytest.raises(ConnectionClosedError, match="1011"):
            await websocket.recv()


async def test_lists_and_health_offer_no_live_speech(house: House) -> None:
    server = house.server
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
    (info,) = await ask(server.streams["Wyoming"], Event("describe"), last="info")
    assert info.data["asr"] == [] and info.data["tts"]
