"""The language of short replies to requests that name none, by every protocol.

``test_client_languages.py`` has the client's own languages, ``tests/core/session/test_language.py`` the
order that they count in, and ``benchmarks.text.short_replies`` 400 replies in eight languages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from wyoming.audio import AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.tts import Synthesize, SynthesizeVoice

from tests.clients.openai_realtime import realtime, text_item
from tests.clients.relay.wire import connect_client
from tests.clients.voxcpm.wire import opened
from tests.protocols.languages.test_languages import PROTOCOLS
from tests.support.serving import InProcessServer, serving
from tests.support.tone import ToneEngine

LANGUAGES = ("es", "en", "fr", "de")
ENGLISH = ("Sure.", "OK.", "No problem.", "Alarm set.", "John Smith.", "42")
SPANISH = ("Vale.", "OK.", "Claro.", "Perfecto.", "Juan Pérez.", "42")
OF_KANI = ("kani", "kani_rest")
FRENCH = "Il fait très beau aujourd'hui."
UNCLEAR = "OK 3."


@asynccontextmanager
async def tones(folder: Path, **environment: str) -> AsyncIterator[InProcessServer]:
    engine = ToneEngine(languages=LANGUAGES)
    async with serving(folder, engine=engine, KANI_WYOMING="true", **environment) as server:
        yield server


def languages(server: InProcessServer) -> list[str]:
    return [segment.language for segment in server.engine.segments]


async def test_short_reply_is_in_the_protocols_language(tmp_path: Path) -> None:
    async with tones(tmp_path) as server:
        for name, say in PROTOCOLS.items():
            server.engine.segments.clear()
            replies, language = (SPANISH, "es") if name in OF_KANI else (ENGLISH, "en")
            for text in replies:
                await say(server, text)
            assert languages(server) == [language] * len(replies), name


async def test_language_that_the_operator_sets_precedes_the_protocols(tmp_path: Path) -> None:
    async with tones(tmp_path, KANI_LANGUAGE="de") as server:
        for name, say in PROTOCOLS.items():
            server.engine.segments.clear()
            for text in (UNCLEAR, FRENCH, UNCLEAR):
                await say(server, text)
            # Each is sent on a connection of its own: none is remembered for the next.
            assert languages(server) == ["de", "fr", "de"], name


async def kani(server: InProcessServer, texts: Sequence[str]) -> None:
    async with connect(server.url) as socket:
        for text in texts:
            await socket.send(json.dumps({"type": "tts_request", "data": {"text": text}}))
            assert json.loads(await socket.recv())["data"]["status"] == "success"


async def voxcpm(server: InProcessServer, texts: Sequence[str]) -> None:
    async with opened(server.url) as client:
        for number, text in enumerate(texts):
            await client.speak(text, f"{number}", mode="non_streaming")


async def relay(server: InProcessServer, texts: Sequence[str]) -> None:
    async with connect_client(server.url) as client:
        for text in texts:
            await client.speak(text)


async def elevenlabs(server: InProcessServer, texts: Sequence[str]) -> None:
    path = "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM/multi-stream-input?output_format=pcm_16000"
    async with connect(f"{server.url}{path}") as socket:
        for number, text in enumerate(texts):
            context = {"context_id": f"{number}"}
            await socket.send(json.dumps({"text": f"{text} ", "flush": True, **context}))
            await socket.send(json.dumps({"close_context": True, **context}))
            while not json.loads(await socket.recv()).get("isFinal"):
                pass


async def openai_realtime(server: InProcessServer, texts: Sequence[str]) -> None:
    async with realtime(server.url, "model=gpt-realtime") as client:
        for text in texts:
            await client.send("response.create", response={"input": [text_item(text)]})
            await client.until("response.done")


async def wyoming(server: InProcessServer, texts: Sequence[str], voice: str | None = None) -> None:
    async with AsyncTcpClient("127.0.0.1", server.streams["Wyoming"]) as client:
        for text in texts:
            await client.write_event(Synthesize(text, SynthesizeVoice(voice) if voice else None).event())
            while (event := await client.read_event()) is not None and not AudioStop.is_type(event.type):
                pass


CONVERSATIONS: tuple[Callable[[InProcessServer, Sequence[str]], Awaitable[None]], ...] = (
    kani,
    voxcpm,
    relay,
    elevenlabs,
    openai_realtime,
    wyoming,
)


@pytest.mark.parametrize("converse", CONVERSATIONS)
async def test_short_reply_is_in_the_language_of_the_last_text_of_its_connection(
    tmp_path: Path, converse: Callable[[InProcessServer, Sequence[str]], Awaitable[None]]
) -> None:
    async with tones(tmp_path) as server, asyncio.timeout(60):
        await converse(server, (UNCLEAR, FRENCH, UNCLEAR, "D'accord.", "The weather is nice.", UNCLEAR))
        default = "es" if converse is kani else "en"
        assert languages(server) == [default, "fr", "fr", "fr", "en", "en"]
        await converse(server, (UNCLEAR,))
        assert languages(server)[-1] == default


@pytest.mark.parametrize(
    ("path", "text_field", "default"),
    [
        ("/v1/audio/speech", "input", "en"),
        ("/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM", "text", "en"),
        ("/tts", "text", "es"),
    ],
)
async def test_requests_that_share_an_http_connection_do_not_share_a_language(
    tmp_path: Path, path: str, text_field: str, default: str
) -> None:
    """A proxy sends requests of several clients on one connection."""
    fields = {"model": "tts-1", "voice": "alloy"} if text_field == "input" else {}
    async with tones(tmp_path) as server, httpx.AsyncClient(base_url=server.http_url) as client:
        for text in (FRENCH, UNCLEAR):
            answer = await client.post(path, json={text_field: text, **fields})
            assert answer.status_code == 200, answer.text
        assert languages(server) == ["fr", default]


async def test_voices_of_one_request_share_a_language(tmp_path: Path) -> None:
    marked = f"[voice:nova] {FRENCH} [voice:onyx] {UNCLEAR}"
    body = {"model": "tts-1", "voice": "alloy", "input": marked, "voice_tags": True}
    async with tones(tmp_path) as server, httpx.AsyncClient(base_url=server.http_url) as client:
        assert (await client.post("/v1/audio/speech", json=body)).status_code == 200
        assert languages(server) == ["fr", "fr"]


async def test_named_voice_speaks_the_texts_language_and_an_unclear_text_in_its_own(tmp_path: Path) -> None:
    async with tones(tmp_path) as server:
        await wyoming(server, (UNCLEAR, "The weather is very nice today.", UNCLEAR), "tone_de")
        spoken = [(segment.voice, segment.language) for segment in server.engine.segments]
        assert spoken == [("tone_de", "de"), ("tone_de", "en"), ("tone_de", "de")]
