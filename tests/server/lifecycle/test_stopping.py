"""Answers to clients of a server that stops in the middle of their requests."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.protocols.utils import ClientDisconnected

from kani.core.audio.pcm import wav
from kani.server import lifecycle
from kani.server.connections import Connections
from tests.support.loudness import HeldRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.asgi import HANDSHAKE, accepted, disconnected, errors_in, served
from tests.support.servers.serving import InProcessServer, serving

SECOND = np.full(16_000, 0.5, np.float32)


async def test_going_away_does_not_wait_for_a_client_that_reads_nothing() -> None:
    closed = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await accepted(receive, send)
        # Until no buffer takes any more.
        while True:
            sending = asyncio.create_task(send({"type": "websocket.send", "bytes": bytes(65536)}))
            if not (await asyncio.wait({sending}, timeout=0.5))[0]:
                break
        await send({"type": "websocket.close", "code": 1001, "reason": "the server is stopping"})
        closed.set()
        with pytest.raises(ClientDisconnected):
            await sending
        await disconnected(receive)

    async with served(application) as port, asyncio.timeout(WITHIN_S):
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", port))
            await loop.sock_sendall(client, HANDSHAKE)
            await closed.wait()
            received = b""
            while not received.endswith(b"\x03\xe9the server is stopping"):
                piece = await loop.sock_recv(client, 65536)
                assert piece, "the connection ended before the close frame"
                received = received[-64:] + piece
            await loop.sock_sendall(client, b"\x88\x82" + bytes(4) + b"\x03\xe9")


async def test_close_of_a_protocol_that_waits_gives_way_to_that_of_the_server() -> None:
    sent: list[Message] = []
    blocked = asyncio.Event()

    async def receive() -> Message:
        return {"type": "websocket.disconnect" if len(sent) > 1 else "websocket.connect"}

    async def send(message: Message) -> None:
        if message.get("code") == 1000:
            blocked.set()
            await asyncio.Event().wait()
        sent.append(message)

    async def protocol(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.close(1000)

    connections = Connections(1, lambda count: None, 20.0)
    scope = {"type": "websocket", "path": "/"}
    serving = asyncio.create_task(connections.serve_websocket(protocol, scope, receive, send))
    await blocked.wait()
    await connections.close_all(0.01)
    await serving
    assert sent[1:] == [{"type": "websocket.close", "code": 1001, "reason": "the server is stopping"}]


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_request_under_way_is_told(caplog: pytest.LogCaptureFixture, begun: bool) -> None:
    connections, busy = Connections(1, lambda count: None, 20.0), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            headers = [(b"transfer-encoding", b"chunked")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        busy.set()
        await asyncio.Event().wait()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await connections.serve_request(slow, scope, receive, send)

    async with served(application) as port, httpx2.AsyncClient() as client:
        asking = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await busy.wait()
        await connections.close_all(0.01)
        if begun:
            with pytest.raises(httpx2.RemoteProtocolError):
                await asking
        else:
            answer = await asking
            assert answer.status_code == 503 and answer.headers["retry-after"]
            assert "stopping" in answer.text
    assert not errors_in(caplog)


async def draining(server: InProcessServer) -> None:
    """Stop a server, and return once it takes no more requests."""
    server.stop.set()
    while (await server.get("/health")).json()["status"] != "draining":
        pass


LONG = wav(np.concatenate([SECOND] * 300), 16_000)
FILE = {"file": ("a.wav", LONG)}
TRANSCRIPTIONS = "/v1/audio/transcriptions"


@pytest.mark.parametrize(
    ("path", "given"),
    [
        (TRANSCRIPTIONS, {"files": FILE, "data": {"model": "scribe_v1"}}),
        ("/v1/speech-to-text", {"files": FILE, "data": {"model_id": "scribe_v1"}}),
        ("/api/asr-streaming", {"content": LONG, "headers": {"kyutai-api-key": "public_token"}}),
    ],
    ids=["openai", "elevenlabs", "kyutai"],
)
async def test_transcription_under_way_gets_503(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, given: dict[str, Any]
) -> None:
    monkeypatch.setattr(lifecycle, "CLOSE_SECONDS", 0.1)
    recognizer = HeldRecognizer(0.0)
    async with asyncio.timeout(WITHIN_S), serving(tmp_path, recognizer, KANI_SHUTDOWN_SECONDS="0") as server:
        asking = asyncio.create_task(server.post(path, **given))
        await happens(lambda: recognizer.holding)
        await draining(server)
        answer = await asking
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "the server is " in answer.text


async def test_speech_in_events_says_why_it_ends(tmp_path: Path) -> None:
    body = {"model": "x", "input": "Good day. " * 60, "voice": "alloy", "stream_format": "sse"}
    async with (
        asyncio.timeout(WITHIN_S),
        serving(tmp_path, KANI_SHUTDOWN_SECONDS="0") as server,
        httpx2.AsyncClient() as client,
    ):
        server.engine.allow = 4
        lines: list[str] = []
        url = f"{server.http_url}/v1/audio/speech"
        with pytest.raises(httpx2.RemoteProtocolError):
            async with client.stream("POST", url, json=body | {"response_format": "pcm"}) as answer:
                async for line in answer.aiter_lines():
                    lines += [line] if line else []
                    server.stop.set()
    last = json.loads(lines[-1].removeprefix("data: "))
    assert last["type"] == "error" and last["error"]["message"] == "the server is shutting down"


async def test_recording_that_comes_too_late_gets_503(tmp_path: Path) -> None:
    """Its upload began before the server stopped, and ends while another is finished."""
    recognizer = HeldRecognizer(0.0)
    recording = wav(SECOND, 16_000)
    more = asyncio.Event()

    async def body() -> AsyncGenerator[bytes, None]:
        yield json.dumps({"model": "x", "input_audio": {"data": ""}}).encode()[:-3]
        await more.wait()
        yield b'AAAA"}}'

    async with asyncio.timeout(WITHIN_S), serving(tmp_path, recognizer) as server:
        form = {"files": {"file": ("a.wav", recording)}, "data": {"model": "x"}}
        first = asyncio.create_task(server.post(TRANSCRIPTIONS, **form))
        json_type = {"content-type": "application/json"}
        late = asyncio.create_task(server.post(TRANSCRIPTIONS, content=body(), headers=json_type))
        await happens(lambda: recognizer.holding)
        while await server.figure("kani_received_bytes_total", transport="http") <= len(recording) + 40:
            pass
        await draining(server)
        more.set()
        answer = await late
        recognizer.go_on.set()
        await first
    assert answer.status_code == 503 and "the server is shutting down" in answer.text
