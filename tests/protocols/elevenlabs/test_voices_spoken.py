"""Speech of stored voices by every call of ElevenLabs' protocol and by the relay."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import pytest_asyncio
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from kani.core.types import Samples
from kani.protocols import elevenlabs
from kani.protocols.shared.protocol import Context
from tests.clients.elevenlabs import wire
from tests.clients.relay import wire as relay
from tests.protocols.cloning_server import CloningServer, cloning_server, hum, loudness

TEXT = "hola sol y mar"
SOFT, LOUD = 0.25, 0.75

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Server:
    """ElevenLabs' protocol over ``cloning``'s engines; its relay speaks with the voice ``soft``."""

    cloning: CloningServer
    address: str

    @property
    def http_url(self) -> str:
        return f"http://{self.address}"

    @property
    def url(self) -> str:
        return f"ws://{self.address}"


@asynccontextmanager
async def serving(folder: Path, relay_voice: str) -> AsyncIterator[Server]:
    async with cloning_server(folder) as cloning:
        for name, level in (("soft", SOFT), ("loud", LOUD)):
            await cloning.keep(name, level)
        chosen = elevenlabs.ElevenLabsSettings(voices={"theirClone": "custom:loud"})
        relayed = elevenlabs.RelaySettings(relay_voice, False, False, folder)
        context = Context(cloning.service, CollectorRegistry())
        routes = elevenlabs.protocol(chosen, relayed).routes(context)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            app = Starlette(routes=routes)
            config = uvicorn.Config(app, log_config=None, lifespan="off", ws="websockets-sansio")
            server = uvicorn.Server(config)
            task = asyncio.create_task(server.serve([listener]))
            try:
                yield Server(cloning, f"127.0.0.1:{listener.getsockname()[1]}")
            finally:
                server.should_exit = True
                await task


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    async with serving(tmp_path_factory.mktemp("spoken"), "soft") as running:
        yield running


def samples_of(pcm: bytes) -> Samples:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


async def call(server: Server, voice: str, way: str) -> Samples:
    async with httpx.AsyncClient(base_url=server.http_url, timeout=300) as client:
        path = f"/v1/text-to-speech/{voice}{way}"
        answer = await client.post(path, params={"output_format": "pcm_22050"}, json={"text": TEXT})
    assert answer.status_code == 200, answer.text
    told = answer.headers.get("x-cloning")
    assert told == (None if voice.startswith("echo:") else "nearest voice")
    if not way.endswith("with-timestamps"):
        return samples_of(answer.content)
    lines = [json.loads(line) for line in answer.text.splitlines() if line]
    return samples_of(b"".join(base64.b64decode(line["audio_base64"]) for line in lines))


async def single(server: Server, voice: str) -> Samples:
    async with wire.connect_client(server.url, voice=voice) as client:
        return (await client.speak(TEXT)).samples


async def multi(server: Server, voice: str) -> Samples:
    async with wire.connect_multi(server.url, voice) as client:
        await client.send({"text": " ", "context_id": "a"}, {"text": TEXT, "context_id": "a", "flush": True})
        await client.send({"context_id": "a", "close_context": True})
        [heard] = await client.receive_until_final("a")
        return heard.samples


WAYS: dict[str, Callable[[Server, str], Awaitable[Samples]]] = {
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
        ("custom:soft", SOFT),
        ("soft", SOFT),
        ("custom:loud", LOUD),
        ("theirClone", LOUD),
        ("echo:tone_es", 1.0),
    ],
)
async def test_stored_voice_speaks_on_every_call(server: Server, way: str, voice: str, level: float) -> None:
    samples = await WAYS[way](server, voice)
    assert len(samples) > 10_000 and loudness(samples) == level


async def test_added_voice_speaks_until_deleted(server: Server) -> None:
    async with httpx.AsyncClient(base_url=server.http_url, timeout=300) as client:
        form = {"name": "just made", "labels": '{"consent": "It is me.", "language": "es"}'}
        files = [("files", hum(2.0, 0.5)), ("files", hum(2.0, 0.5))]
        made = (await client.post("/v1/voices/add", data=form, files=files)).json()["voice_id"]
        assert made == "custom:just_made"
        for way in WAYS.values():
            assert loudness(await way(server, made)) == 0.5
        account = (await client.get("/v1/user/subscription")).json()
        assert account["can_use_instant_voice_cloning"] and account["voice_slots_used"] == 3
        told = (await client.get(f"/v1/voices/{made}")).json()
        assert told["labels"]["cloning"] == "nearest voice" and 0 < float(told["labels"]["similarity"]) <= 1
        assert (await client.delete(f"/v1/voices/{made}")).json() == {"status": "ok"}
        answer = await client.post(f"/v1/text-to-speech/{made}", json={"text": TEXT})
        assert answer.status_code == 404


@pytest.mark.parametrize("path", ["/stream_tts", "/client"])
async def test_relay_speaks_with_stored_voice(server: Server, path: str) -> None:
    async with relay.connect_client(server.url, path) as client:
        answer = await client.speak(TEXT)
        answer.check(TEXT)
        assert loudness(answer.samples) == SOFT


@pytest.mark.parametrize(
    ("named", "level"), [("custom:loud", LOUD), ("theirClone", LOUD), ("custom:gone", 1.0)]
)
async def test_relay_voice_may_be_any_id(tmp_path: Path, named: str, level: float) -> None:
    async with serving(tmp_path, named) as server, relay.connect_client(server.url) as client:
        assert loudness((await client.speak(TEXT)).samples) == level
