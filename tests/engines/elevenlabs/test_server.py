"""The server with ``--engine elevenlabs``, as a user starts it, against the recorded service."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect

from tests.clients.kani.wire import request, stream
from tests.conftest import ServerProcess, StartServer
from tests.engines.elevenlabs.conftest import STORY
from tests.judges.judge import hear, word_error_rate
from tests.support import elevenlabs_service as fake
from tests.support.elevenlabs_service import KEY, LETTER_S, VOICE, ElevenLabsService, Exchange, running
from tests.support.patience import WITHIN_S

pytestmark = [pytest.mark.server, pytest.mark.asyncio(loop_scope="module")]

HELLO = "Hello there, my old friend."
ARGUMENTS = ("--engine", "elevenlabs")


def environment(service: ElevenLabsService) -> dict[str, str]:
    return {
        "ELEVEN_API_KEY": KEY,
        "ELEVEN_VOICE_ID": VOICE,
        "KANI_ELEVENLABS_URL": service.url,
        "KANI_RECOGNIZER": "none",
        "KANI_LOG_LEVEL": "DEBUG",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[ElevenLabsService, ServerProcess]]:
    """The recorded service and a server that speaks by it; the key is in none of the server's output."""
    async with running() as service:
        folder = tmp_path_factory.mktemp("elevenlabs")
        started = ServerProcess(folder, *ARGUMENTS, **environment(service))
        await asyncio.to_thread(started.wait_until_ready)
        yield service, started
        await asyncio.to_thread(started.stop)
        assert KEY not in started.banner + started.log + started.terminal


@pytest.fixture
def service(pair: tuple[ElevenLabsService, ServerProcess]) -> ElevenLabsService:
    pair[0].exchanges.clear()
    pair[0].opened.clear()
    return pair[0]


@pytest.fixture
def running_server(pair: tuple[ElevenLabsService, ServerProcess]) -> ServerProcess:
    return pair[1]


async def requested(socket: ClientConnection, text: str, **data: Any) -> list[tuple[str, dict[str, Any]]]:
    """All messages of a streamed answer."""
    chunks, kind, last = await stream(socket, request(text, "tts_stream_request", **data))
    return [*(("tts_stream_chunk", chunk) for chunk in chunks), (kind, last)]


def samples_of(received: list[tuple[str, dict[str, Any]]]) -> np.ndarray:
    """The samples of an answer, at 22,050 Hz."""
    pcm = b"".join(base64.b64decode(data["audio"]) for kind, data in received if kind == "tts_stream_chunk")
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


async def test_client_receives_elevenlabs_audio_times_and_failures(
    service: ElevenLabsService, running_server: ServerProcess
) -> None:
    async with connect(running_server.url) as socket:
        received = await requested(socket, HELLO, config={"speed": 1.2})
        kind, last = received[-1]
        assert kind == "tts_stream_complete" and last["metadata"]["engine"] == "elevenlabs"
        assert len(samples_of(received)) == round(len(HELLO + " ") * LETTER_S * 22_050)
        spans = [span for _, data in received for span in data["metadata"].get("spans", [])]
        words = {HELLO[start:end]: begins_s for start, end, begins_s, _ in spans}
        assert words["friend."] == pytest.approx(HELLO.index("friend") * LETTER_S, abs=1e-4)
        assert service.exchanges[0].received[0]["voice_settings"] == {"speed": 1.2}
        assert service.exchanges[0].headers["xi-api-key"] == KEY

        await requested(socket, HELLO, config={"voice_id": f"elevenlabs:{fake.OTHER_VOICE}"})
        assert fake.OTHER_VOICE in service.exchanges[1].path

        async def refuse(exchange: Exchange) -> None:
            await exchange.refuse(fake.NO_CREDITS)

        service.answers = [refuse]
        (kind, data), *_ = await requested(socket, HELLO)
        assert data["status"] == "error" and "no credits left" in data["message"]
        assert (await requested(socket, HELLO))[-1][0] == "tts_stream_complete"
    async with httpx.AsyncClient() as client:
        voices = (await client.get(f"{running_server.http_url}/v1/audio/voices")).text
    assert f"elevenlabs:{VOICE}" in voices and "Rachel" in voices


async def test_relay_client_receives_the_time_of_every_character(
    service: ElevenLabsService, running_server: ServerProcess
) -> None:
    async with connect(f"{running_server.url}/stream_tts") as socket, asyncio.timeout(WITHIN_S):

        async def spoken() -> list[dict[str, Any]]:
            await socket.send(json.dumps({"action": "start_tts", "text": STORY}))
            messages = []
            while not messages or messages[-1]["type"] == "chunk":
                messages.append(json.loads(await socket.recv()))
            return messages

        *chunks, last = await spoken()
        rows = [
            row
            for chunk in chunks
            for row in zip(chunk["chars"], chunk["char_times"], chunk["char_durations"], strict=True)
        ]
        assert last["type"] == "complete" and "".join(letter for letter, _, _ in rows) == STORY
        assert all(start + length == later for (_, start, length), (_, later, _) in pairwise(rows))
        first = service.exchanges[0].text
        letter_ms = LETTER_S * 1000
        assert [time for _, time, _ in rows[: len(first)]] == [letter_ms * at for at in range(len(first))]

        # After its first audio a failed speech is not repeated; the socket stays open.
        async def break_off(exchange: Exchange) -> None:
            async for text in fake.pieces(exchange):
                for frame in list(fake.frames(text, *fake.tone(text), True, 0.0))[:2]:
                    await exchange.send(frame)
                exchange.socket.transport.abort()

        service.answers = [break_off]
        *chunks, last = await spoken()
        assert last["type"] == "error" and "broke off" in last["message"] and chunks
        assert len(service.exchanges[-1].text) and (await spoken())[-1]["type"] == "complete"


async def test_elevenlabs_clients_name_the_accounts_voices_by_their_bare_ids(
    service: ElevenLabsService, running_server: ServerProcess
) -> None:
    base = f"{running_server.http_url}/v1/text-to-speech"
    async with httpx.AsyncClient() as client:
        for voice in (VOICE, fake.OTHER_VOICE):
            answer = await client.post(f"{base}/{voice}/stream?output_format=pcm_24000", json={"text": HELLO})
            assert answer.status_code == 200 and len(answer.content) > 1000
            assert f"/{voice}/" in service.exchanges[-1].path
        assert (await client.post(f"{base}/nobody", json={"text": HELLO})).status_code == 404
    path = f"/v1/text-to-speech/{fake.OTHER_VOICE}/stream-input?output_format=pcm_24000"
    async with connect(running_server.url + path) as socket:
        await socket.send(json.dumps({"text": HELLO}))
        await socket.send(json.dumps({"text": ""}))
        received = [json.loads(message) async for message in socket]
    assert received[-1]["isFinal"] and f"/{fake.OTHER_VOICE}/" in service.exchanges[-1].path


async def test_disconnected_client_closes_the_upstream_socket(
    service: ElevenLabsService, running_server: ServerProcess
) -> None:
    async def stall(exchange: Exchange) -> None:
        async for _ in exchange.socket:
            pass

    service.answers = [stall]
    async with asyncio.timeout(WITHIN_S):
        async with connect(running_server.url) as socket:
            await socket.send(json.dumps({"type": "tts_stream_request", "data": {"text": HELLO}}))
            await service.opened.wait()
        await service.exchanges[0].gone.wait()


@pytest.mark.heard
async def test_relayed_speech_is_understood(start_server: StartServer) -> None:
    text = "The old captain opened the box, read the message twice, and walked slowly back to his ship."
    async with fake.speaking("espeak:en-us", "en") as voice, running(voice) as service:
        server = await asyncio.to_thread(start_server, *ARGUMENTS, **environment(service))
        async with connect(server.url, max_size=None) as socket:
            received = await requested(socket, text, config={"language": "english"})
    heard = await asyncio.to_thread(hear, samples_of(received), 22_050, "en")
    assert word_error_rate(text, heard, "en") <= 0.06, heard
