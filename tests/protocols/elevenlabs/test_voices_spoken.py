"""Speech of stored voices by every call of ElevenLabs' protocol and by the relay."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from kani.core.types import Samples
from kani.core.voices.store import VoiceStore
from tests.clients.elevenlabs import wire
from tests.clients.relay import wire as relay
from tests.protocols.cloning_server import CloningServer, cloning_server, hum, loudness, new_voice

TEXT = "hola sol y mar"
SOFT, LOUD = 0.25, 0.75

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def serving(folder: Path, relay_voice: str) -> AsyncIterator[CloningServer]:
    """Serve with a relay that speaks with ``relay_voice``; two voices are kept."""
    store = VoiceStore(folder / "data")
    for name, level in (("soft", SOFT), ("loud", LOUD)):
        store.add(new_voice(name, level))
    chosen = {"KANI_ELEVENLABS_VOICES": "theirClone=custom:loud", "KANI_ELEVENLABS_VOICE_ID": relay_voice}
    async with cloning_server(folder, **chosen) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CloningServer]:
    async with serving(tmp_path_factory.mktemp("spoken"), "soft") as running:
        yield running


def samples_of(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


async def call(server: CloningServer, voice: str, way: str) -> Samples:
    path, form = f"/v1/text-to-speech/{voice}{way}", {"output_format": "pcm_22050"}
    answer = await server.post(path, params=form, json={"text": TEXT})
    assert answer.status_code == 200, answer.text
    told = answer.headers.get("x-cloning")
    assert told == (None if voice.startswith("echo:") else "nearest voice")
    if not way.endswith("with-timestamps"):
        return samples_of(answer.content)
    lines = [json.loads(line) for line in answer.text.splitlines() if line]
    return samples_of(b"".join(base64.b64decode(line["audio_base64"]) for line in lines))


async def single(server: CloningServer, voice: str) -> Samples:
    async with wire.connect_client(server.url, voice=voice) as client:
        return (await client.speak(TEXT)).samples


async def multi(server: CloningServer, voice: str) -> Samples:
    async with wire.connect_multi(server.url, voice) as client:
        await client.send({"text": " ", "context_id": "a"}, {"text": TEXT, "context_id": "a", "flush": True})
        await client.send({"context_id": "a", "close_context": True})
        [heard] = await client.receive_until_final("a")
        return heard.samples


WAYS: dict[str, Callable[[CloningServer, str], Awaitable[Samples]]] = {
    "convert": lambda server, voice: call(server, voice, ""),
    "stream": lambda server, voice: call(server, voice, "/stream"),
    "with timestamps": lambda server, voice: call(server, voice, "/with-timestamps"),
    "stream with timestamps": lambda server, voice: call(server, voice, "/stream/with-timestamps"),
    "stream-input": single,
    "multi-stream-input": multi,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("voice", "level"),
    [
        *((soft, SOFT) for soft in ("custom:soft", "soft")),
        *((loud, LOUD) for loud in ("custom:loud", "theirClone")),
        ("echo:tone_es", 1.0),
    ],
)
async def test_calls_speak_stored_voices(house: CloningServer, way: str, voice: str, level: float) -> None:
    samples = await WAYS[way](house, voice)
    assert len(samples) > 10_000 and loudness(samples) == level


async def test_added_voice_speaks_until_deleted(house: CloningServer) -> None:
    form = {"name": "just made", "labels": '{"consent": "It is me.", "language": "es"}'}
    files = [("files", hum(2.0, 0.5)), ("files", hum(2.0, 0.5))]
    made = (await house.post("/v1/voices/add", data=form, files=files)).json()["voice_id"]
    assert made == "custom:just_made"
    for way in WAYS.values():
        assert loudness(await way(house, made)) == 0.5
    account = (await house.get("/v1/user/subscription")).json()
    assert account["can_use_instant_voice_cloning"] and account["voice_slots_used"] == 3
    told = (await house.get(f"/v1/voices/{made}")).json()
    assert told["labels"]["cloning"] == "nearest voice" and 0 < float(told["labels"]["similarity"]) <= 1
    assert (await house.request("DELETE", f"/v1/voices/{made}")).json() == {"status": "ok"}
    answer = await house.post(f"/v1/text-to-speech/{made}", json={"text": TEXT})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("named", "level"), [("soft", SOFT), ("custom:loud", LOUD), ("theirClone", LOUD), ("custom:gone", 1.0)]
)
async def test_relay_voice_may_be_any_id(tmp_path: Path, named: str, level: float) -> None:
    async with serving(tmp_path, named) as server, relay.connect_client(server.url) as client:
        answer = await client.speak(TEXT)
        answer.check(TEXT)
        assert loudness(answer.samples) == level
