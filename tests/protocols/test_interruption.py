"""Interruptions and clients that disconnect in mid-speech: their work ends, and nothing more goes out.

A session holds encoders, texts and half a minute of audio. One that is part of a reference cycle keeps
them until the collector runs, which on a quiet server may be never.
"""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError

from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from tests.clients.openai_realtime import text_item
from tests.protocols.conftest import Serve
from tests.protocols.health import counters, wait_for_idle
from tests.support.patience import WITHIN_S, happens
from tests.support.servers import held_socket
from tests.support.servers.app_server import application
from tests.support.servers.held_socket import HeldSocket
from tests.support.servers.serving import InProcessServer
from tests.support.sessions import serving
from tests.support.tone import ToneEngine

WORDS = 12
TEXT = " ".join(letter * 30 for letter in "abcdefghijkl") + "."
"""Words of three seconds, each a chunk of the engine and several messages of most protocols."""

LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 40
UNDER_WAY = 2
"""Messages that may still come: one was sent and not yet taken, one was being sent."""

ELEVENLABS = "/v1/text-to-speech/tone_es"
KEY = "a-key-for-this-test"
HEADERS = {"authorization": f"Bearer {KEY}"}

Messages = Sequence[Mapping[str, Any]]


def openai(text: str) -> Messages:
    return [{"type": "response.create", "response": {"input": [text_item(text)]}}]


def relay(text: str) -> Messages:
    return [{"action": "start_tts", "text": text}]


def context(text: str, name: str = "old") -> dict[str, Any]:
    return {"text": text, "context_id": name, "flush": True, "xi_api_key": KEY}


@asynccontextmanager
async def connected(service: SpeechService, folder: Path, *addresses: str) -> AsyncIterator[list[HeldSocket]]:
    """Connect to the whole application, over a service of the test's; at the end all connections are."""
    app = application(folder, service)
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(held_socket.connected(app, path, query))
            for path, _, query in (address.partition("?") for address in addresses)
        ]


@dataclass(frozen=True)
class Wire:
    """How a protocol asks, interrupts, and answers."""

    address: str
    ask: Messages
    cancel: Messages
    is_audio: Callable[[Any], bool]
    is_end: Callable[[Any], bool]


def of_type(kind: str) -> Callable[[Any], bool]:
    return lambda message: not isinstance(message, bytes) and message["type"] == kind


CONTEXTS = f"{ELEVENLABS}/multi-stream-input?output_format=pcm_8000"
CLOSE = {"close_context": True, "context_id": "old"}
OF_CONTEXT = (
    lambda message: message["contextId"] == "old" and bool(message["audio"]),
    lambda message: message["contextId"] == "old" and message["isFinal"],
)
WIRES = {
    "kani": Wire(
        "/",
        [{"type": "tts_request", "data": {"text": TEXT, "stream": True}}],
        [{"type": "tts_cancel"}],
        *(of_type("tts_stream_chunk"), of_type("tts_response")),
    ),
    "voxcpm": Wire(
        "/tts",
        [{"type": "tts_request", "request_id": "r", "params": {"text": TEXT, "mode": "streaming"}}],
        [{"type": "cancel", "request_id": "r"}],
        *(lambda message: isinstance(message, bytes), of_type("complete")),
    ),
    "realtime": Wire(
        "/v1/realtime?model=m",
        openai(TEXT),
        [{"type": "response.cancel"}],
        *(of_type("response.output_audio.delta"), of_type("response.done")),
    ),
    "relay": Wire("/stream_tts", relay(TEXT), [{"action": "stop"}], *(of_type("chunk"), of_type("stopped"))),
    "elevenlabs, another": Wire(CONTEXTS, [context(TEXT)], [CLOSE, context("a.", "new")], *OF_CONTEXT),
    "elevenlabs, closed twice": Wire(
        CONTEXTS,
        [{"text": TEXT, "context_id": "old"}, {"flush": True, "context_id": "old"}],
        [CLOSE, CLOSE],
        *OF_CONTEXT,
    ),
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
async def test_nothing_goes_out_after_an_interruption_was_read(wire: Wire, tmp_path: Path) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service, connected(service, tmp_path, wire.address) as [socket]:
        await socket.send(*wire.ask)
        await socket.take_until(wire.is_audio)
        # Nearly all that is made by now has still to be sent.
        while len(engine.words) < WORDS:
            await socket.until_read()
        await socket.send(*wire.cancel)
        await socket.until_read()
        after = await socket.take_until(wire.is_end)
        assert sum(map(wire.is_audio, after)) <= UNDER_WAY
        assert engine.under_way == 0


async def test_stopped_broadcast_reaches_no_listener_that_lags(tmp_path: Path) -> None:
    engine, wire = ToneEngine(), WIRES["relay"]
    async with serving(engine, tmp_path) as service:
        async with connected(service, tmp_path, "/client", "/agent") as [listener, agent]:
            await agent.send(*wire.ask)
            while len(engine.words) < WORDS:
                await agent.until_read()
            await agent.send(*wire.cancel)
            await agent.until_read()
            assert sum(map(wire.is_audio, await listener.take_until(wire.is_end))) <= UNDER_WAY
        # It waits for the agents to come.
        (waiting,) = (task for task in asyncio.all_tasks() if task.get_name() == "relay broadcast")
        waiting.cancel()
        await asyncio.wait([waiting])


ASKS: dict[str, tuple[str, Callable[[str], Messages]]] = {
    "kani": ("/", lambda text: [{"type": "tts_stream_request", "data": {"text": text}}]),
    "voxcpm": ("/tts", lambda text: [{"type": "tts_request", "request_id": "1", "params": {"text": text}}]),
    "kyutai": (
        f"/api/tts_streaming?auth_id={KEY}&format=PcmMessagePack",
        lambda text: [{"type": "Text", "text": text}, {"type": "Eos"}],
    ),
    "elevenlabs": (
        f"{ELEVENLABS}/stream-input?output_format=pcm_8000",
        lambda text: [{"text": f"{text} ", "xi_api_key": KEY}, {"text": ""}],
    ),
    "elevenlabs contexts": (CONTEXTS, lambda text: [context(text), CLOSE]),
    "openai": ("/v1/realtime?model=m", openai),
    "relay": ("/stream_tts", relay),
}

LEFT: dict[str, tuple[str, Messages]] = {
    **{door: (ASKS[door][0], ASKS[door][1](LONG)) for door in ("kani", "voxcpm", "openai")},
    "kyutai": (
        f"/api/tts_streaming?auth_id={KEY}&format=OggOpusMessagePack",
        [{"type": "Text", "text": LONG}],
    ),
    "elevenlabs": (
        f"{ELEVENLABS}/stream-input?output_format=mp3_22050_32",
        [{"text": " ", "xi_api_key": KEY}, {"text": LONG, "flush": True}],
    ),
    "elevenlabs contexts": (
        f"{ELEVENLABS}/multi-stream-input?output_format=opus_48000_64",
        [context(" ", "a"), context(LONG, "a"), context(LONG, "b")],
    ),
    "relay": ("/stream_tts", [*relay(LONG), *relay(LONG)]),
    "relay, unfinished text": ("/stream_tts", [{"action": "append_tts", "text": "Nunca "}]),
}


@asynccontextmanager
async def asking(server: InProcessServer, door: str, text: str) -> AsyncIterator[AsyncIterator[Any]]:
    """Ask for speech; yields the messages that come until the server closes the connection."""
    address, messages = ASKS[door]
    packed = door == "kyutai"
    pack, unpack = (msgspec.msgpack.encode, msgspec.msgpack.decode) if packed else (json.dumps, json.loads)

    async def received(client: ClientConnection) -> AsyncIterator[Any]:
        with suppress(ConnectionClosedError):
            async for message in client:
                yield message if isinstance(message, bytes) and not packed else unpack(message)
        yield client.close_code

    options = {"max_size": None, "additional_headers": HEADERS}
    async with asyncio.timeout(WITHIN_S), connect(server.url + address, **options) as client:  # type: ignore[arg-type]
        for message in messages(text):
            await client.send(pack(message))
        yield received(client)


@pytest.mark.parametrize("door", ASKS)
async def test_failure_of_the_engine_is_told_after_the_speech_before_it(serve: Serve, door: str) -> None:
    server = await serve(KANI_API_KEYS=KEY)
    before = 0
    async with asking(server, door, "uno dos. kaputt. tres.") as messages:
        async for message in messages:
            if "the tone broke" in str(message):
                break
            assert not isinstance(message, int), "the connection was closed without a word"
            before += len(str(message))
    assert before > 100


CUT = {"kani": "cancelled", "elevenlabs": "isFinal", "openai": "shutting down"}
"""Text of the last messages, unless they say that the server is stopping."""


@pytest.mark.parametrize("patience_s", ["0.2", "600"], ids=["cut", "finished"])
@pytest.mark.parametrize("door", ASKS)
async def test_server_that_stops_says_so_or_finishes_the_speech(
    serve: Serve, door: str, patience_s: str
) -> None:
    server = await serve(KANI_API_KEYS=KEY, KANI_SHUTDOWN_SECONDS=patience_s)
    server.engine.allow = 4
    text = "uno dos tres cuatro cinco seis siete ocho."
    async with asking(server, door, text) as messages:
        await happens(lambda: server.engine.steps == 4)
        server.stop.set()
        if patience_s == "600":
            await server.engine.permit(None)
        *rest, last, code = [message async for message in messages]
    if patience_s == "600":
        assert code in (1000, 1001) and server.engine.words == text.rstrip(".").split()
    else:
        assert code == 1001 and CUT.get(door, "the server is stopping") in str([*rest[-2:], last])


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


@pytest.mark.parametrize("way", ["closed", "cut off", "cut off within a message"])
@pytest.mark.parametrize("door", LEFT)
async def test_disconnected_client_leaves_no_session(
    serve: Serve, sessions: weakref.WeakSet[SpeechSession], door: str, way: str
) -> None:
    server = await serve(KANI_API_KEYS=KEY)
    await wait_for_idle(server)
    files = psutil.Process().num_fds()
    server.engine.allow = 100
    address, messages = LEFT[door]
    options = {"max_size": None, "max_queue": None, "close_timeout": 0.5, "additional_headers": HEADERS}
    async with asyncio.timeout(WITHIN_S):
        async with connect(server.url + address, **options) as client:  # type: ignore[arg-type]
            for message in messages:
                packed = door == "kyutai"
                await client.send(msgspec.msgpack.encode(message) if packed else json.dumps(message))
            # All messages without audio together are not as long.
            taken = 5000 if "unfinished" in door else 0
            while taken < 5000:
                taken += len(await client.recv())
            await happens(lambda: sessions)
            if "within" in way:
                client.transport.write(b"\x82\xfe\x03\xe8" + bytes(4) + b"ten of 1000")
            if way != "closed":
                client.transport.abort()
        await happens(lambda: not sessions)
    await wait_for_idle(server)
    assert not server.engine.under_way
    assert (await counters(server))["cancellations"] >= 1
    # The sockets of the requests to /health close a moment after their answers.
    await happens(lambda: psutil.Process().num_fds() <= files)


DIALOGUE = {"inputs": [{"text": LONG, "voice_id": "tone_es"}] * 2}
STREAMED = {
    "/stream-tts": {"text": LONG, "chunk_size": 1},
    "/api/tts_streaming": {"text": LONG, "voice": ""},
    f"{ELEVENLABS}/stream": {"text": LONG},
    f"{ELEVENLABS}/stream/with-timestamps": {"text": LONG},
    "/v1/text-to-dialogue/stream": DIALOGUE,
    "/v1/text-to-dialogue/stream/with-timestamps": DIALOGUE,
    "/v1/audio/speech": {"input": LONG, "voice": "tone_es"},
    "/dev/captioned_speech": {"input": LONG, "voice": "tone_es"},
}
WHOLE = {
    "/tts": {"text": LONG},
    ELEVENLABS: {"text": LONG},
    f"{ELEVENLABS}/with-timestamps": {"text": LONG},
    "/v1/text-to-dialogue": DIALOGUE,
    # A cue has more words than are made here.
    "/v1/audio/captions": {"input": LONG, "voice": "tone_es"},
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

    async def ask(client: httpx2.AsyncClient) -> None:
        async with client.stream("POST" if body else "GET", path, json=body) as answer:
            async for _ in answer.aiter_raw():
                begun.set()

    async with httpx2.AsyncClient(base_url=server.http_url, headers=HEADERS) as client:
        asking = asyncio.create_task(ask(client))
        async with asyncio.timeout(WITHIN_S):
            await happens(lambda: server.engine.under_way and server.engine.steps >= steps)
            if steps and path in STREAMED:
                await begun.wait()
        asking.cancel()
        await asyncio.wait([asking])
    await happens(lambda: not sessions)
    await wait_for_idle(server)
    assert not server.engine.under_way and server.engine.steps == steps
