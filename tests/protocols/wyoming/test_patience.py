"""Clients that are silent, that read nothing, or that are many."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack, suppress

import pytest
from wyoming.event import Event

from protocols.wyoming import connection
from protocols.wyoming.framing import Event as PackedEvent
from server.network.upload_budget import UploadBudget
from tests.protocols.conftest import Serve
from tests.protocols.wyoming.exchange import chunk, client, read_all, read_until, steps
from tests.protocols.wyoming.home_assistant import HOST, load_info

IDLE_S = 0.2


@pytest.mark.parametrize(
    "begun",
    [
        (Event("ping"),),
        (Event("synthesize-start"), Event("synthesize-chunk", {"text": "uno dos. tres "})),
        (Event("transcribe"), chunk(steps(True)[0])),
        (Event("synthesize", {"text": "uno"}),),
    ],
    ids=["idle", "text", "audio", "after_speech"],
)
async def test_silent_client_is_disconnected(
    port: int, monkeypatch: pytest.MonkeyPatch, begun: tuple[Event, ...]
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", IDLE_S)
    async with client(port) as connected:
        # It may be disconnected between two of its events.
        with suppress(ConnectionError):
            for event in begun:
                await connected.write_event(event)
            await read_all(connected)


async def test_client_that_waits_for_the_server_is_not(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = await serve()
    server.engine.allow = 0
    async with client(server.streams["Wyoming"]) as connected:
        # On a busy machine the first event may take longer than the wait that is shortened here.
        await connected.write_event(Event("ping"))
        await read_until(connected, "pong")
        monkeypatch.setattr(connection, "IDLE_S", IDLE_S)
        await connected.write_event(Event("synthesize", {"text": "uno"}))
        await asyncio.sleep(3 * IDLE_S)
        await server.engine.permit(None)
        await read_until(connected, "audio-stop")


async def test_client_that_reads_nothing_is_disconnected(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server = await serve(KANI_PING_TIMEOUT="0.3")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (HOST, server.streams["Wyoming"]))
        ping = PackedEvent("ping", {"text": "x" * 1000}).pack() * 100
        with pytest.raises(ConnectionError):
            while True:
                await loop.sock_sendall(sock, ping)
    assert "sent, or read, nothing for too long" in caplog.text


async def test_idle_connections_make_room_for_new_ones(serve: Serve) -> None:
    """257 TCP connections fit beside one WebSocket; those that wait for a request are closed first."""
    server = await serve(KANI_MAX_CONNECTIONS="1")
    port = server.streams["Wyoming"]
    async with AsyncExitStack() as open_connections:
        speaking = await open_connections.enter_async_context(client(port))
        await speaking.write_event(Event("synthesize-start"))
        idle = [await open_connections.enter_async_context(client(port)) for _ in range(260)]
        for each in idle[:250]:
            await each.write_event(Event("ping"))
        with suppress(AssertionError, ConnectionError):
            await read_until(idle[249], "pong")
        for _ in range(10):
            assert (await load_info(port)).tts
        await speaking.write_event(Event("synthesize-chunk", {"text": "uno dos. tres "}))
        await read_until(speaking, "audio-chunk")


async def test_room_for_unfinished_events_is_shared(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose event has no room beside another's is refused; small events always have."""
    monkeypatch.setattr("websocket_server.UploadBudget", lambda: UploadBudget(1000))
    port = (await serve()).streams["Wyoming"]
    reader, writer = await asyncio.open_connection(HOST, port)
    # The second event is read up to its payload as soon as the first is answered.
    writer.write(b'{"type": "ping"}\n{"type": "future", "payload_length": 500000}\n')
    await reader.readline()
    async with client(port) as other:
        assert (await load_info(port)).tts
        await other.write_event(chunk(steps(True)[0] * 100))
        (error,) = await read_all(other)
    assert error.type == "error" and error.data["code"] == "busy"
    writer.close()
    await writer.wait_closed()
