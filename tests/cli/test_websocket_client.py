"""The client: against the real server, and against a scripted peer where a server misbehaves.

The server speaks with espeak-ng, which is fast; the tests of the guide hear the default engine.
"""

import asyncio
import base64
import contextlib
import io
import json
import logging
import socket
import wave
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

import websocket_client
from kani.core.audio.pcm import wav
from kani.server.connections import Phase
from tests.support.event_loop import settle, virtual_time
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.app_server import AppServer, app_server
from tests.support.servers.serving import InProcessServer, serving
from websocket_client import (
    AnswerTimeout,
    AuthenticationFailed,
    KaniTTSClient,
    NotConnected,
    RequestCancelled,
    RequestFailed,
    ServerStarting,
    SpanishAITTSIntegration,
    StreamLeftOpen,
    UnexpectedAnswer,
)
from websocket_config import DEFAULT_CONFIG

HELLO = "¡Hola! ¿Cómo estás?"
LONG = "Esta frase se repite para que haya mucho que decir, y nadie espera hasta el final. " * 12
PCM = b"\x01\x02" * 2205
RATE = 22_050
METADATA = {"duration": 0.1, "sample_rate": RATE, "channels": 1}


def pcm_of(file: bytes) -> bytes:
    """The samples of a WAV file that is what the protocol promises."""
    with wave.open(io.BytesIO(file)) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        return bytes(sound.readframes(sound.getnframes()))


def seconds_of(file: bytes) -> float:
    return len(pcm_of(file)) / 2 / RATE


def event(kind: str, audio: bytes | None = None, **data: Any) -> str:
    sound = {} if audio is None else {"audio": base64.b64encode(audio).decode()}
    return json.dumps({"type": kind, "data": sound | data})


def answer(pcm: bytes = PCM) -> str:
    return event("tts_response", wav(pcm, RATE), status="success", message="", metadata=METADATA)


CHUNK = event("tts_stream_chunk", PCM, status="streaming", metadata=METADATA)
COMPLETE = event("tts_stream_complete", status="completed", message="")
PONG = event("pong", status="alive")
CANCELLED = event("tts_response", b"", status="error", message="cancelled")

Script = Callable[[ServerConnection, int], Awaitable[None]]


@contextlib.asynccontextmanager
async def peer(
    script: Script, statuses: tuple[int | None, ...] = ()
) -> AsyncGenerator[tuple[str, list[Request]], None]:
    """A WebSocket server that runs `script(connection, number of the connection)`.

    `statuses` refuse the first handshakes, None lets one in. Gives its URL and the handshakes' requests.
    """
    handshakes: list[Request] = []
    accepted = 0

    def process(connection: ServerConnection, request: Request) -> Response | None:
        handshakes.append(request)
        status = statuses[len(handshakes) - 1] if len(handshakes) <= len(statuses) else None
        # The server's own refusals are JSON, a proxy's are not.
        told = '{"error":{"message":"not you"}}' if status == 401 else "not you\n"
        return None if status is None else connection.respond(HTTPStatus(status), told)

    async def handle(connection: ServerConnection) -> None:
        nonlocal accepted
        accepted += 1
        await script(connection, accepted)

    server: Server
    async with serve(handle, "127.0.0.1", 0, process_request=process, max_size=None) as server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"ws://{host}:{port}", handshakes


async def never(connection: ServerConnection, number: int = 1) -> None:
    async for _ in connection:
        pass


async def willing(connection: ServerConnection, number: int) -> None:
    """Answer every request at once; what is cancelled then is over already."""
    async for message in connection:
        match json.loads(message)["type"]:
            case "tts_request":
                await connection.send(answer())
            case "tts_stream_request":
                await connection.send(CHUNK)
                await connection.send(COMPLETE)
            case "ping":
                await connection.send(PONG)


Step = str | bytes | int | Callable[[ServerConnection], Any]
REASON = "at most 16 MiB"


def take(connection: ServerConnection) -> Awaitable[Any]:
    return connection.recv()


def drop(connection: ServerConnection) -> None:
    connection.transport.abort()


def scripted(*steps: Step, always: bool = False) -> Script:
    """On the first connection, or always: send texts, close with a code, or do something; then answer."""

    async def run(connection: ServerConnection, number: int) -> None:
        for step in steps if number == 1 or always else ():
            if isinstance(step, int):
                await connection.close(step, REASON)
            elif isinstance(step, str | bytes):
                await connection.send(step)
            elif isinstance(done := step(connection), Awaitable):
                await done
        await willing(connection, number)

    return run


@contextlib.asynccontextmanager
async def talking(
    script: Script, statuses: tuple[int | None, ...] = (), **options: Any
) -> AsyncGenerator[tuple[KaniTTSClient, list[Request]], None]:
    async with peer(script, statuses) as (url, handshakes), KaniTTSClient(url=url, **options) as client:
        yield client, handshakes


@pytest.fixture
async def tone_server(tmp_path: Path) -> AsyncGenerator[InProcessServer, None]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def client(tone_server: InProcessServer) -> AsyncGenerator[KaniTTSClient, None]:
    async with KaniTTSClient(tone_server.host, tone_server.port) as connected:
        yield connected


# Against the real server


async def test_connect_ping_disconnect(tone_server: InProcessServer) -> None:
    client = KaniTTSClient(tone_server.host, tone_server.port)
    assert client.websocket is None and not client.connected
    with pytest.raises(ConnectionError, match="connect"):
        await client.send_tts_request(HELLO)
    assert await client.stream_tts_request(HELLO) is False and await client.cancel() is False
    assert await client.connect() is True
    assert client.connected and await client.ping() is True
    await client.disconnect()
    assert not client.connected and await client.ping() is False
    # The integration connects by itself.
    integration = SpanishAITTSIntegration(tts_host=tone_server.host, tts_port=tone_server.port)
    assert not integration.connected
    wav = await integration.generate_speech(HELLO)
    assert wav is not None and pcm_of(wav)
    assert integration.connected and integration.tts_client.connected
    await integration.disconnect()
    assert not integration.connected


async def test_answers_are_wav_files_or_the_same_stream(client: KaniTTSClient) -> None:
    wav = await client.send_tts_request(HELLO)
    assert seconds_of(wav) > 0.5
    metadata = client.last_answer["metadata"]
    assert metadata["duration"] == pytest.approx(seconds_of(wav), abs=1e-3)
    assert metadata["language"] == "spanish"
    assert client.last_answer["status"] == "success" and "audio" not in client.last_answer
    parts = [part async for part in client.stream(HELLO)]
    assert all(part.sample_rate == 22050 for part in parts)
    assert sum(part.duration for part in parts) > 0.5
    assert client.last_answer["status"] == "completed"
    assert parts[0].duration == pytest.approx(parts[0].metadata["duration"], abs=1e-3)


async def test_callbacks(
    client: KaniTTSClient, tone_server: InProcessServer, caplog: pytest.LogCaptureFixture
) -> None:
    integration = SpanishAITTSIntegration(tone_server.host, tone_server.port)
    for keyword in ("chunk_callback", "on_chunk"):
        for stream in (client.stream_tts_request, integration.stream_speech):
            chunks: list[tuple[bytes, dict[str, Any]]] = []
            callback: Any = {keyword: lambda *chunk, chunks=chunks: chunks.append(chunk)}
            assert await stream(HELLO, {"speed": 1.2}, **callback) is True
            for pcm, metadata in chunks:
                assert metadata["chunk_size"] == len(pcm)
                assert metadata["duration"] == pytest.approx(len(pcm) / 2 / RATE, abs=1e-3)
            assert sum(len(pcm) for pcm, _ in chunks) > RATE / 2, keyword
    await integration.disconnect()
    running: list[int] = []
    seen: list[int] = []

    async def awaited(pcm: bytes, metadata: dict[str, Any]) -> None:
        running.append(1)
        await settle()
        seen.append(len(running))
        running.clear()

    assert await client.stream_tts_request(HELLO, chunk_callback=awaited) is True
    assert seen and set(seen) == {1}
    with pytest.raises(TypeError, match="not both"):
        await client.stream_tts_request(HELLO, chunk_callback=print, on_chunk=print)

    def broken(pcm: bytes, metadata: dict[str, Any]) -> None:
        raise ZeroDivisionError("my loudspeaker")

    assert await client.stream_tts_request(LONG, chunk_callback=broken) is False
    assert "my loudspeaker" in caplog.text
    assert await client.ping() is True


async def test_connection_outlives_errors(client: KaniTTSClient, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RequestFailed, match="atlantean") as caught:
        await client.send_tts_request(HELLO, {**DEFAULT_CONFIG, "language": "atlantean"})
    assert caught.value.message == str(caught.value)
    assert pcm_of(await client.send_tts_request(HELLO))
    assert await client.stream_tts_request(HELLO, {**DEFAULT_CONFIG, "emotion": "hungry"}) is False
    assert "emotion" in caplog.text
    assert await client.stream_tts_request(HELLO) is True


async def begun(client: KaniTTSClient) -> asyncio.Task[None]:
    started = asyncio.Event()

    async def listen() -> None:
        async for _ in client.stream(LONG):
            started.set()

    listening = asyncio.create_task(listen())
    await started.wait()
    return listening


async def test_client_cancels_wherever_it_is(client: KaniTTSClient, tone_server: InProcessServer) -> None:
    tone_server.engine.allow = 20
    websocket = client.websocket
    listening = await begun(client)
    assert await client.cancel() is True
    with pytest.raises(RequestCancelled):
        await listening
    assert await client.cancel() is False
    assert await client.ping() is True
    tone_server.engine.allow = tone_server.engine.steps + 20

    async def stop(pcm: bytes, metadata: dict[str, Any]) -> None:
        await client.cancel()

    assert await client.stream_tts_request(LONG, on_chunk=stop) is False
    assert await client.ping() is True
    # A cancelled task leaves the connection usable.
    tone_server.engine.allow = None
    listening = await begun(client)
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
    assert seconds_of(await client.send_tts_request(HELLO)) < 5
    assert client.websocket is websocket


async def test_concurrent_callers_wait_their_turn(client: KaniTTSClient) -> None:
    texts = ["Uno.", "Una frase bastante más larga que la primera, con muchas palabras.", "Dos."]
    speeches, alive = await asyncio.gather(
        asyncio.gather(*map(client.send_tts_request, texts)), client.ping()
    )
    short, long, other = map(seconds_of, speeches)
    assert long > 2 * short and long > 2 * other
    assert alive is True


async def test_integration_passes_recordings(
    tone_server: InProcessServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the configuration ``test_request_carries_text_config_and_recording`` shows it."""
    async with SpanishAITTSIntegration(tone_server.host, tone_server.port) as integration:
        reference = wav(PCM * 20, RATE)
        assert await integration.generate_speech(HELLO, {"voice_id": "user_voice"}, reference_audio=reference)
        assert await integration.generate_speech(HELLO, reference_audio=b"no audio") is None
        assert await integration.stream_speech(HELLO, reference_audio=b"no audio") is False
    told = [one.message.partition(":")[0] for one in caplog.records if one.levelno >= logging.WARNING]
    assert told == ["speech", "streaming"]


def test_one_client_in_several_event_loops(espeak_server: Any) -> None:
    client = KaniTTSClient(espeak_server.host, espeak_server.port)
    assert asyncio.run(client.connect()) is True
    assert not client.connected
    assert asyncio.run(client.ping()) is True
    assert pcm_of(asyncio.run(client.send_tts_request(HELLO)))
    assert asyncio.run(client.stream_tts_request(HELLO)) is True
    assert asyncio.run(client.cancel()) is False
    asyncio.run(client.disconnect())
    assert asyncio.run(client.ping()) is False
    integration = SpanishAITTSIntegration(espeak_server.host, espeak_server.port)
    assert asyncio.run(integration.generate_speech(HELLO)) is not None
    assert asyncio.run(integration.stream_speech(HELLO)) is True
    asyncio.run(integration.disconnect())


@pytest.mark.filterwarnings("ignore:asynchronous generator:ResourceWarning")
def test_a_loop_that_is_left_with_a_stream_open(espeak_server: Any) -> None:
    client = KaniTTSClient(espeak_server.host, espeak_server.port)
    kept: list[Any] = []

    async def leave() -> None:
        await client.connect()
        kept.append(client.stream(LONG))
        await anext(kept[0])
        kept.append(asyncio.create_task(client.ping()))
        await settle()

    async def speak() -> bytes:
        return (await asyncio.gather(*[client.send_tts_request(HELLO) for _ in range(3)]))[2]

    asyncio.run(leave())
    assert pcm_of(asyncio.run(speak()))
    asyncio.run(client.disconnect())


async def told_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    """Return once the client waits for a server that starts."""
    await happens(lambda: "the server is starting; waiting for it" in caplog.text)


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[AppServer]:
    with app_server(tmp_path) as server:
        server.connections.phase = Phase.STARTING
        yield server


WAYS: list[Callable[[str], Awaitable[Any]]] = [
    lambda url: KaniTTSClient(url=url).connect(),
    lambda url: KaniTTSClient(url=url).__aenter__(),
    lambda url: SpanishAITTSIntegration(url=url).initialize(),
    lambda url: SpanishAITTSIntegration(url=url).generate_speech(HELLO),
]


@pytest.mark.parametrize("way", WAYS, ids=["connect", "async with", "initialize", "generate_speech"])
async def test_a_server_that_starts_is_waited_for(
    starting: AppServer, caplog: pytest.LogCaptureFixture, way: Callable[[str], Awaitable[Any]]
) -> None:
    connecting = asyncio.ensure_future(way(starting.url))
    await told_to_wait(caplog)
    assert not connecting.done()
    starting.connections.phase = Phase.READY
    assert await connecting
    assert caplog.text.count("waiting for it, 120 s at most") == 1


async def test_request_waits_for_a_restart(starting: AppServer, caplog: pytest.LogCaptureFixture) -> None:
    connections = starting.connections
    connections.phase = Phase.READY
    async with KaniTTSClient(url=starting.url, reconnect_tries=1) as client:

        async def speak() -> asyncio.Task[bytes]:
            assert client.websocket is not None
            connections.phase = Phase.STARTING
            await client.websocket.close()
            caplog.clear()
            speaking = asyncio.create_task(client.send_tts_request(HELLO))
            await told_to_wait(caplog)
            return speaking

        speaking = await speak()
        connections.phase = Phase.READY
        assert seconds_of(await speaking) > 0.5
        # Whoever disconnects does not wait for it.
        speaking = await speak()
        await client.disconnect()
        with pytest.raises(NotConnected, match="disconnected"):
            await speaking


async def test_a_request_after_a_failed_connect_says_why_that_failed(
    starting: AppServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = KaniTTSClient(url=starting.url)
    connecting = asyncio.ensure_future(client.connect())
    await told_to_wait(caplog)
    await client.disconnect()
    assert await connecting is False
    assert client.websocket is None
    client.start_timeout = 0
    assert await client.connect() is False
    reason = f"{starting.url}: the server is starting; waited for 0 s"
    assert caplog.messages[-1] == reason
    with pytest.raises(NotConnected) as raised:
        await client.send_tts_request(HELLO)
    assert str(raised.value) == f"not connected: connect() failed: {reason}"
    with pytest.raises(ServerStarting):
        await client.__aenter__()
    # It stops: that is not waited for.
    starting.connections.phase = Phase.DRAINING
    assert await KaniTTSClient(url=starting.url).connect() is False
    await client.disconnect()
    with pytest.raises(NotConnected, match="call connect"):
        await client.send_tts_request(HELLO)


# Against a scripted peer


async def test_address_without_server_is_reported(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    urls = ("ws://localhost:99999", "ws://[::1", "http://localhost", f"ws://127.0.0.1:{closed_port}")
    for url in urls:
        caplog.clear()
        client = KaniTTSClient(url=url)
        assert await client.connect() is False
        assert f"cannot connect to {url}: " in caplog.text or url == urls[-1]
    assert f"127.0.0.1:{closed_port}: no server listens there" in caplog.text
    with pytest.raises(NotConnected):
        async with client:
            pass
    assert await SpanishAITTSIntegration("127.0.0.1", closed_port).initialize() is False


async def test_config_that_is_not_json(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(willing) as (client, handshakes):
        configs: list[Any] = [{"speed": object()}, {"speed": float("nan")}, {1, 2}, 5, {"seed": {b"a"}}]
        for config in configs:
            caplog.clear()
            with pytest.raises(RequestFailed, match="JSON"):
                await client.send_tts_request(HELLO, config)
            assert await client.stream_tts_request(HELLO, config) is False
            assert "JSON" in caplog.text, config
        assert await client.ping() is True
        assert len(handshakes) == 1


async def test_request_carries_text_config_and_recording() -> None:
    received: list[Any] = []

    async def note(connection: ServerConnection, number: int) -> None:
        async for message in connection:
            received.append(json.loads(message))
            await connection.send(PONG if received[-1]["type"] == "ping" else answer())

    async with peer(note) as (url, _):
        async with KaniTTSClient(url=url) as client:
            await client.send_tts_request(HELLO)
            await client.send_tts_request(HELLO, {"speed": 1.5}, b"RIFF")
            await client.send_tts_request(HELLO, {}, b"")
        async with SpanishAITTSIntegration(url=url) as integration:
            await integration.generate_speech(HELLO, {"emotion": "calm", "seed": 7})
            await integration.generate_speech(HELLO)
    friendly = {**DEFAULT_CONFIG, "emotion": "friendly"}
    asked: list[dict[str, Any]] = [
        {"config": DEFAULT_CONFIG},
        {"config": {"speed": 1.5}, "reference_audio": "UklGRg=="},
        {"config": {}, "reference_audio": ""},
        {"config": {**friendly, "emotion": "calm", "seed": 7}},
        {"config": friendly},
    ]
    requests = [message for message in received if message != {"type": "ping", "data": {}}]
    assert requests == [{"type": "tts_request", "data": {"text": HELLO, **data}} for data in asked]


async def test_api_key_is_a_bearer_token_and_a_wrong_one_is_not_tried_again() -> None:
    key = "sésamo".encode().hex()
    async with peer(never, (None, None, 401, 403)) as (url, handshakes):
        for given in (key, None):
            async with KaniTTSClient(url=url, api_key=given):
                pass
        for status in (401, 403):
            with pytest.raises(AuthenticationFailed, match=rf"\({status}\): not you$"):
                await KaniTTSClient(url=url, api_key="wrong").__aenter__()
    given = [each.headers.get("Authorization") for each in handshakes]
    assert given == [f"Bearer {key}", None, *["Bearer wrong"] * 2]


async def test_dropped_connections_are_asked_again_before_audio_only() -> None:
    async with talking(scripted(take, drop)) as (client, handshakes):
        assert pcm_of(await client.send_tts_request(HELLO)) == PCM
        assert len(handshakes) == 2
    async with talking(scripted(take, drop, always=True)) as (client, handshakes):
        with pytest.raises(NotConnected, match="lost"):
            await client.send_tts_request(HELLO)
        assert len(handshakes) == 2
    async with talking(scripted(take, CHUNK, 1011)) as (client, handshakes):
        parts = []
        with pytest.raises(NotConnected):
            async for part in client.stream(HELLO):
                parts.append(part)
        assert len(parts) == len(handshakes) == 1
        assert await client.stream_tts_request(HELLO) is True
        assert len(handshakes) == 2


def skip_pauses(patch: pytest.MonkeyPatch) -> list[float]:
    """Replace the client's own pauses only: the websockets library sleeps too, before each ping."""
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    patch.setattr(websocket_client, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": note}))
    return pauses


@pytest.mark.parametrize(("refusals", "tries", "alive"), [(3, 6, True), (3, 3, False), (9, 9, False)])
async def test_reconnecting_is_tried_a_number_of_times_with_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusals: int, tries: int, alive: bool
) -> None:
    refusing = talking(scripted(1000), (None, *[503] * refusals), reconnect_tries=tries)
    async with refusing as (client, handshakes):
        assert client.websocket is not None
        await client.websocket.wait_closed()
        with monkeypatch.context() as patch:
            pauses = skip_pauses(patch)
            assert await client.ping() is alive
        assert len(handshakes) == 1 + refusals + alive
    assert caplog.text.count(f" of {tries})") == refusals and "503" in caplog.text
    most = [0.25, 0.5, 1, 2, 4, 8, 8, 8][: refusals - 1 + alive]
    shares = [pause / longest for pause, longest in zip(pauses, most, strict=True)]
    assert all(0.5 <= share <= 1 for share in shares) and len({*shares}) > 1


async def test_an_assistant_waits_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    for more, tries in (({}, 13), ({"reconnect_tries": 2}, 2)):
        async with (
            peer(scripted(take, PONG, 1000), (None, *[503] * 12)) as (url, handshakes),
            SpanishAITTSIntegration(url=url, **more) as assistant,
        ):
            assert assistant.tts_client.websocket is not None
            await assistant.tts_client.websocket.wait_closed()
            with monkeypatch.context() as patch:
                waited = skip_pauses(patch)
                patch.setattr(websocket_client.random, "uniform", lambda least, most: least)
                assert await assistant.stream_speech(HELLO) is (tries == 13)
            assert len(handshakes) == 1 + tries
        assert tries < 13 or sum(waited) >= 30


@pytest.mark.parametrize("listening", [False, True])
async def test_assistant_without_server_gives_up(caplog: pytest.LogCaptureFixture, listening: bool) -> None:
    assert SpanishAITTSIntegration().tts_client.reconnect_timeout == 10
    assert KaniTTSClient().reconnect_timeout is None
    async with peer(willing) as (url, _):
        # Its tries take days.
        assistant = SpanishAITTSIntegration(url=url, reconnect_tries=100_000, reconnect_timeout=0.3)
        assert await assistant.initialize() is True
        assert await assistant.generate_speech(HELLO) is not None
    host, port = url.removeprefix("ws://").split(":")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, int(port)))
        if listening:  # as a server that is starting: connections wait until they are accepted
            taken.listen()
        assert await assistant.generate_speech(HELLO) is None
        assert await assistant.stream_speech(HELLO) is False
    assert caplog.text.count(f"no connection to {url} in 0.3 s") == 2
    async with serve(lambda connection: willing(connection, 1), host, int(port)):
        assert await assistant.generate_speech(HELLO) is not None
    await assistant.disconnect()


@pytest.mark.parametrize(
    "answered",
    [
        *(1007, 1008, 1009, "nonsense", b"\xff\xfe", "[]", '{"type": "tts_response"}'),
        '{"type": "tts_response", "data": {"status": "success", "audio": "UklGRg=="}}',
        '{"type": "tts_response", "data": {"status": "success", "audio": "%", "metadata": {}}}',
        '{"type": "pong", "data": {}}',
    ],
)
async def test_refusals_and_garbage_are_named_not_repeated_and_survived(answered: str | bytes | int) -> None:
    refused = isinstance(answered, int)
    async with talking(scripted(take, answered)) as (client, handshakes):
        with pytest.raises(RequestFailed if refused else UnexpectedAnswer, match=REASON if refused else None):
            await client.send_tts_request(HELLO)
        assert len(handshakes) == 1
        assert pcm_of(await client.send_tts_request(HELLO)) == PCM


async def test_silent_server_and_one_that_does_not_stop_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async with talking(scripted(never), chunk_timeout=0.05) as (client, handshakes):
        with pytest.raises(AnswerTimeout, match=r"0\.05 s"):
            async for _ in client.stream(HELLO):
                pass
        client.chunk_timeout = WITHIN_S
        assert await client.stream_tts_request(HELLO) is True
        assert len(handshakes) == 2
    monkeypatch.setattr(websocket_client, "_CANCEL_TIMEOUT_S", 0.05)
    async with talking(scripted(take, CHUNK, never)) as (client, handshakes):
        async for _ in client.stream(HELLO):
            break
        assert pcm_of(await client.send_tts_request(HELLO)) == PCM
        assert len(handshakes) == 2


async def test_disconnecting_ends_the_request_for_good() -> None:
    asked = asyncio.Event()
    async with talking(scripted(take, lambda _: asked.set(), never)) as (client, handshakes):
        request = asyncio.create_task(client.send_tts_request(HELLO))
        await asked.wait()
        await client.disconnect()
        with pytest.raises(NotConnected):
            await request
        assert len(handshakes) == 1


async def test_cancelled_while_cancelling() -> None:
    asked, told_to_stop = asyncio.Event(), asyncio.Event()
    script = scripted(take, lambda _: asked.set(), take, lambda _: told_to_stop.set(), never)
    async with talking(script) as (client, handshakes):
        request = asyncio.create_task(client.send_tts_request(HELLO))
        for moment in (asked, told_to_stop):
            await moment.wait()
            request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert pcm_of(await client.send_tts_request(HELLO)) == PCM
        assert len(handshakes) == 2


async def test_leaving_the_loop_sends_cancel() -> None:
    received: list[str] = []

    async def hear(connection: ServerConnection) -> None:
        received.append(json.loads(await connection.recv())["type"])

    script = scripted(hear, CHUNK, CHUNK, hear, CANCELLED, hear, answer())
    async with talking(script) as (client, handshakes):
        async with contextlib.aclosing(client.stream(HELLO)) as parts:
            async for _ in parts:
                break
        assert pcm_of(await client.send_tts_request(HELLO)) == PCM
        assert received == ["tts_stream_request", "tts_cancel", "tts_request"]
        assert len(handshakes) == 1


async def test_unread_stream_blocks_other_requests_for_a_limited_time() -> None:
    asked, released = asyncio.Event(), asyncio.Event()
    script = scripted(take, lambda _: asked.set(), lambda _: released.wait(), CHUNK, COMPLETE)
    async with talking(script) as (client, _):
        stream = client.stream(HELLO)
        reading = asyncio.create_task(anext(stream))
        await asked.wait()
        early = asyncio.create_task(client.send_tts_request(HELLO))
        await settle()
        client.chunk_timeout = 0.05
        released.set()
        await reading
        late = asyncio.create_task(client.send_tts_request(HELLO))
        for refused in (early, late):
            with pytest.raises(StreamLeftOpen, match=r"was not read for 0\.05 s"):
                await refused
        assert await client.stream_tts_request(HELLO) is False
        client.chunk_timeout = WITHIN_S
        waiting = asyncio.create_task(client.send_tts_request(HELLO))
        await stream.aclose()
        assert pcm_of(await waiting) == PCM


async def test_waiting_for_a_stream_that_is_read_has_no_limit() -> None:
    script = scripted(take, *[CHUNK] * 24, COMPLETE)
    async with talking(script, chunk_timeout=1.0) as (client, _):
        reading = asyncio.Event()

        async def read(pcm: bytes, metadata: dict[str, Any]) -> None:
            reading.set()
            await asyncio.sleep(0.05)

        with virtual_time():
            streaming = asyncio.create_task(client.stream_tts_request(HELLO, on_chunk=read))
            await reading.wait()
            began = asyncio.get_running_loop().time()
            assert pcm_of(await client.send_tts_request(HELLO)) == PCM
            assert asyncio.get_running_loop().time() - began > client.chunk_timeout
            assert await streaming is True


async def test_connections_messages_and_addresses() -> None:
    pcm = PCM * 1000
    async with peer(scripted(take, answer(pcm))) as (url, handshakes):
        client = KaniTTSClient(url=url)
        assert all(await asyncio.gather(client.connect(), client.connect(), client.connect()))
        assert len(handshakes) == 1
        # A message may have any size.
        assert pcm_of(await client.send_tts_request(HELLO)) == pcm
        await client.disconnect()
    assert KaniTTSClient("::1", 8001).url == "ws://[::1]:8001"
    assert KaniTTSClient("localhost", 8001).url == "ws://localhost:8001"
    assert KaniTTSClient("10.0.0.1", url="wss://voice.example/").url == "wss://voice.example/"


async def test_the_text_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="websocket_client")
    async with talking(willing) as (client, _):
        await client.send_tts_request("palabra secreta", {**DEFAULT_CONFIG, "language": "secreta"})
    assert "connected" in caplog.text and "secreta" not in caplog.text
