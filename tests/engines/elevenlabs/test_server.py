"""``--engine elevenlabs`` as a user starts it, before the service as it was recorded: what clients get."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from speech.observer import Observer
from speech.request import Limits
from speech.service import SpeechService
from speech.timing.characters import CharacterClock
from speech.types import SpeechRequest
from speech.voices.catalogue import VoiceStore
from tests.conftest import ServerProcess, StartServer
from tests.engines.elevenlabs.elevenlabs_engine import started
from tests.judges.judge import hear, word_error_rate
from tests.support import elevenlabs_service as fake
from tests.support.elevenlabs_service import KEY, LETTER_S, VOICE, ElevenLabsService, Exchange, running

HELLO = "Hello there, my old friend."
STORY = (
    "It rains today. مَرحبا يا صديقي! And tomorrow, at 21 degrees, the sun will shine again 😀 for all of us."
)
WITHIN_S = 300.0


@asynccontextmanager
async def speaking(
    start_server: StartServer, service: ElevenLabsService, *arguments: str, **environment: str
) -> AsyncIterator[ServerProcess]:
    """The server, in whose place ElevenLabs speaks; key and voice are in the relay's own variables."""
    server = await asyncio.to_thread(
        start_server,
        *("--engine", "elevenlabs"),
        *arguments,
        ELEVEN_API_KEY=KEY,
        ELEVEN_VOICE_ID=VOICE,
        KANI_ELEVENLABS_URL=service.url,
        KANI_RECOGNIZER="none",
        KANI_LOG_LEVEL="DEBUG",
        **environment,
    )
    yield server
    assert KEY not in server.banner + server.log + server.terminal


async def asked(socket: ClientConnection, text: str, **data: Any) -> list[tuple[str, dict[str, Any]]]:
    """All messages of a streamed answer."""
    await socket.send(json.dumps({"type": "tts_stream_request", "data": {"text": text, **data}}))
    received = []
    async with asyncio.timeout(WITHIN_S):
        while True:
            message = json.loads(await socket.recv())
            received.append((message["type"], message["data"]))
            if message["type"] != "tts_stream_chunk":
                return received


def samples_of(received: list[tuple[str, dict[str, Any]]]) -> np.ndarray:
    """The samples of an answer, at 22,050 Hz."""
    pcm = b"".join(base64.b64decode(data["audio"]) for kind, data in received if kind == "tts_stream_chunk")
    return np.frombuffer(pcm, "<i2").astype(np.float32) / 32768


async def test_clients_of_the_server_hear_elevenlabs(start_server: StartServer) -> None:
    """Its voice, its times, its voices by name; a failure in plain words, after which it goes on."""
    async with running() as service, speaking(start_server, service) as server:
        async with connect(server.url) as socket:
            received = await asked(socket, HELLO, config={"speed": 1.2})
            kind, last = received[-1]
            assert kind == "tts_stream_complete" and last["metadata"]["engine"] == "elevenlabs"
            assert len(samples_of(received)) == round(len(HELLO + " ") * LETTER_S * 22_050)
            spans = [span for _, data in received for span in data["metadata"].get("spans", [])]
            words = {HELLO[start:end]: begins_s for start, end, begins_s, _ in spans}
            assert words["friend."] == pytest.approx(HELLO.index("friend") * LETTER_S, abs=1e-4)
            assert service.exchanges[0].received[0]["voice_settings"] == {"speed": 1.2}
            assert service.exchanges[0].headers["xi-api-key"] == KEY

            other = f"elevenlabs:{fake.OTHER_VOICE}"
            await asked(socket, HELLO, config={"voice_id": other})
            assert fake.OTHER_VOICE in service.exchanges[1].path

            async def refuse(exchange: Exchange) -> None:
                await exchange.refuse(fake.NO_CREDITS)

            service.answers = [refuse]
            (kind, data), *_ = await asked(socket, HELLO)
            assert data["status"] == "error" and "no credits left" in data["message"]
            assert (await asked(socket, HELLO))[-1][0] == "tts_stream_complete"
        async with httpx.AsyncClient() as client:
            voices = (await client.get(f"{server.http_url}/v1/audio/voices")).text
        assert f"elevenlabs:{VOICE}" in voices and "Rachel" in voices
        assert KEY not in server.log + server.terminal


async def test_the_relay_tells_when_each_letter_is_said(start_server: StartServer) -> None:
    """As its clients had it from ElevenLabs: every character of their text, its time, and its length."""
    async with running() as service, speaking(start_server, service) as server:
        async with connect(f"{server.url}/stream_tts") as socket, asyncio.timeout(WITHIN_S):

            async def told() -> list[dict[str, Any]]:
                await socket.send(json.dumps({"action": "start_tts", "text": STORY}))
                messages = []
                while not messages or messages[-1]["type"] == "chunk":
                    messages.append(json.loads(await socket.recv()))
                return messages

            *chunks, last = await told()
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

            # Once it was heard, nothing is said twice; the socket stays.
            async def break_off(exchange: Exchange) -> None:
                async for text in fake.pieces(exchange):
                    for frame in list(fake.frames(text, *fake.tone(text), True, 0.0))[:2]:
                        await exchange.send(frame)
                    exchange.socket.transport.abort()

            service.answers = [break_off]
            *chunks, last = await told()
            assert last["type"] == "error" and "broke off" in last["message"] and chunks
            assert len(service.exchanges[-1].text) and (await told())[-1]["type"] == "complete"


async def test_its_own_protocol_names_the_accounts_voices_as_elevenlabs_does(
    start_server: StartServer,
) -> None:
    """By their bare ids, over HTTP and by WebSocket; an id that the account has not is unknown."""
    async with running() as service, speaking(start_server, service) as server, httpx.AsyncClient() as client:
        for voice in (VOICE, fake.OTHER_VOICE):
            address = f"{server.http_url}/v1/text-to-speech/{voice}/stream?output_format=pcm_24000"
            answer = await client.post(address, json={"text": HELLO})
            assert answer.status_code == 200 and len(answer.content) > 1000
            assert f"/{voice}/" in service.exchanges[-1].path
        async with connect(
            f"{server.url}/v1/text-to-speech/{fake.OTHER_VOICE}/stream-input?output_format=pcm_24000"
        ) as socket:
            await socket.send(json.dumps({"text": HELLO}))
            await socket.send(json.dumps({"text": ""}))
            received = [json.loads(message) async for message in socket]
        assert received[-1]["isFinal"] and f"/{fake.OTHER_VOICE}/" in service.exchanges[-1].path
        answer = await client.post(f"{server.http_url}/v1/text-to-speech/nobody", json={"text": HELLO})
        assert answer.status_code == 404


@pytest.mark.alone
async def test_a_client_that_goes_takes_the_stream_along(start_server: StartServer) -> None:
    """ElevenLabs' socket is closed as soon as the client's is."""

    async def stall(exchange: Exchange) -> None:
        async for _ in exchange.socket:
            pass

    async with running() as service, speaking(start_server, service) as server:
        service.answers = [stall]
        async with connect(server.url) as socket, asyncio.timeout(WITHIN_S):
            await socket.send(json.dumps({"type": "tts_stream_request", "data": {"text": HELLO}}))
            await service.opened.wait()
        async with asyncio.timeout(300):
            await service.exchanges[0].gone.wait()
        await asyncio.to_thread(server.stop)


async def test_a_voice_of_this_machine_stands_in(start_server: StartServer) -> None:
    """Without ElevenLabs clients are spoken to all the same, and the log says by whom."""
    async with running() as service:
        async with speaking(start_server, service, KANI_ELEVENLABS_FALLBACK="espeak") as server:

            async def refuse(exchange: Exchange) -> None:
                await exchange.refuse(fake.UNUSUAL)

            service.answers = [refuse]
            async with connect(server.url) as socket:
                received = await asked(socket, HELLO)
            assert received[-1][0] == "tts_stream_complete"
            assert np.abs(samples_of(received)).max() > 0.1
            assert "espeak speaks a segment in ElevenLabs' place" in server.log
            assert "detected_unusual_activity" in server.log
            await asyncio.to_thread(server.stop)


@pytest.mark.parametrize("variables", [{"ELEVEN_VOICE_ID": VOICE}, {"ELEVEN_API_KEY": KEY}])
def test_what_is_missing_is_said_at_the_start(start_server: StartServer, variables: dict[str, str]) -> None:
    """By the name of its variable; the key is not printed."""
    server = start_server("--engine", "elevenlabs", ready=False, **variables)
    assert server.wait() != 0
    missing = "ELEVEN_API_KEY" if "ELEVEN_VOICE_ID" in variables else "ELEVEN_VOICE_ID"
    assert f"set {missing}" in server.terminal and KEY not in server.terminal


async def test_the_key_alone_sends_nothing(start_server: StartServer) -> None:
    """Only the engine that is asked for by name uses it."""
    async with running() as service:
        server = await asyncio.to_thread(
            start_server,
            *("--engine", "espeak"),
            ELEVEN_API_KEY=KEY,
            ELEVEN_VOICE_ID=VOICE,
            KANI_ELEVENLABS_URL=service.url,
            KANI_RECOGNIZER="none",
        )
        async with connect(server.url) as socket:
            assert (await asked(socket, HELLO))[-1][1]["metadata"]["engine"] == "espeak"
        assert not service.voices_asked and not service.exchanges
        await asyncio.to_thread(server.stop)


@pytest.mark.parametrize("at_once", [1, 3, 1000])
async def test_every_character_of_a_session_has_its_time(tmp_path: Path, at_once: int) -> None:
    """However the text comes: sentence by sentence, in scripts of both directions, tiling to the end."""
    async with running() as upstream, started(upstream) as engine:
        service = SpeechService(
            [engine],
            VoiceStore(tmp_path),
            Limits(),
            default_language="en",
            default_voice=None,
            observer=Observer(),
        )
        await service.start()
        clock = CharacterClock()
        async with service.open(SpeechRequest(language="en"), protocol="test") as session:

            async def write() -> None:
                for at in range(0, len(STORY), at_once):
                    session.feed(STORY[at : at + at_once])
                    await asyncio.sleep(0)
                session.finish()

            writing = asyncio.create_task(write())
            text, edges = "", [0.0]
            async with aclosing(aiter(session)) as chunks, asyncio.timeout(WITHIN_S):
                clock.feed(STORY)
                async for chunk in chunks:
                    timed = clock.align(chunk.spans)
                    text += timed.text
                    assert not timed.edges_s or timed.edges_s[0] == edges[-1]
                    edges += timed.edges_s[1:]
            await writing
            assert text == STORY and edges == sorted(edges)
            assert edges[-1] == pytest.approx(session.duration_s, abs=0.02)
            said = "".join(exchange.text for exchange in upstream.exchanges).replace(" ", "")
            assert said == STORY.replace("😀", "").replace(" ", "")
            within = [
                at for at, letter in enumerate(STORY) if STORY[at - 1 : at].isalpha() and letter.isalpha()
            ]
            assert [edges[at] - edges[at - 1] for at in within] == pytest.approx([LETTER_S] * len(within))
        await service.stop()


async def test_what_is_relayed_is_understood(start_server: StartServer) -> None:
    """Speech through all of it is heard as it was written."""
    text = "The old captain opened the box, read the message twice, and walked slowly back to his ship."
    async with fake.speaking("espeak:en-us", "en") as voice, running(voice) as service:
        async with speaking(start_server, service) as server:
            async with connect(server.url, max_size=None) as socket:
                received = await asked(socket, text, config={"language": "english"})
            await asyncio.to_thread(server.stop)
    heard = await asyncio.to_thread(hear, samples_of(received), 22_050, "en")
    assert word_error_rate(text, heard, "en") <= 0.06, heard
