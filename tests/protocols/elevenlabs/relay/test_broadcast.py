"""Utterances of agents on /agent, broadcast to all on /client."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from kani.protocols.elevenlabs.relay.queue import (
    HIGH_WATER_BYTES,
    MAX_BACKLOG_BYTES,
    Broadcast,
    RelayState,
    Subscriber,
)
from tests.clients.relay.wire import Client, connect_client
from tests.support.patience import WITHIN_S
from tests.support.servers.app_server import AppServer
from tests.support.servers.asgi import closing
from tests.support.servers.unread import never_reading

ANSWER = ["Hola. ", "Esto lo escribe un ", "modelo, palabra por ", "palabra."]
WHOLE = "".join(ANSWER)
LONG = "Había una vez, en un país muy lejano, una niña que vivía con su abuela cerca del bosque. " * 50


async def facts(server: AppServer) -> dict[str, object]:
    told = (await server.get("/health")).json()
    return {name: told[name] for name in ("flutter_clients", "agent_connected", "is_streaming")}


@asynccontextmanager
async def connected(server: AppServer, *paths: str) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect_client(server.url, path)) for path in paths]


async def test_agent_is_broadcast_to_all_clients(espeak_app: AppServer) -> None:
    nothing = {"flutter_clients": 0, "agent_connected": False, "is_streaming": False}
    async with asyncio.timeout(WITHIN_S):
        # Clients of an earlier test are counted for a moment after they have left.
        while await facts(espeak_app) != nothing:
            await asyncio.sleep(0.02)
    async with connected(espeak_app, "/client", "/client", "/agent") as [one, other, agent]:
        for client in (one, other):
            await client.ping()
        for pieces in (ANSWER, ["Y otra."]):
            await agent.write(*pieces)
            heard, also = await one.receive_utterance(), await other.receive_utterance()
            heard.check("".join(pieces))
            assert heard == also
        await agent.send("append_tts", text=LONG)
        await one.receive()
        during = await facts(espeak_app)
        assert during == {"flutter_clients": 2, "agent_connected": True, "is_streaming": True}
        await agent.ping()
        await agent.send("stop")
        assert await agent.receive() == {"type": "stopped"}
        for client in (one, other):
            assert await client.receive_after_chunks() == {"type": "stopped"}
        await agent.write(*ANSWER)
        (await other.receive_utterance()).check(WHOLE)
        # Its errors are the agent's.
        await agent.send("append_tts", text="a" * 10_001)
        assert (await agent.receive())["message"] == "text: too long (at most 10000 characters)"
        await other.ping()


async def test_disconnected_agent_is_spoken_to_its_end(espeak_app: AppServer) -> None:
    async with connect_client(espeak_app.url, "/client") as client:
        async with connect_client(espeak_app.url, "/agent") as agent:
            await agent.send("append_tts", text=LONG[:900])
            assert (await client.receive())["chunk_index"] == 0
        async with connect_client(espeak_app.url, "/agent") as agent:
            await agent.write(*ANSWER)
            assert (await client.receive_after_chunks())["text"] == LONG[:900]
            (await client.receive_utterance()).check(WHOLE)


async def test_agents_have_separate_utterances(espeak_app: AppServer) -> None:
    async with connected(espeak_app, "/client", "/agent", "/agent") as [client, one, other]:
        for writer, text in ((one, "Uno "), (other, "Dos ")):
            await writer.send("append_tts", text=text)
            await writer.ping()
        await one.write("y uno.")
        (await client.receive_utterance()).check("Uno y uno.")
        await other.write("y dos.")
        (await client.receive_utterance()).check("Dos y dos.")


async def test_own_text_waits_for_broadcast_utterance(espeak_app: AppServer) -> None:
    own = "Esto lo quiere oír una sola."
    async with connected(espeak_app, "/client", "/client", "/agent") as [one, other, agent]:
        await agent.send("append_tts", text=LONG[:300])
        first = await one.receive()
        assert first["type"] == "chunk"
        await one.send("start_tts", text=own)
        await agent.write("Fin.")
        assert (await one.receive_after_chunks())["text"] == LONG[:300] + "Fin."
        (await one.receive_utterance()).check(own)
        await agent.write(*ANSWER)
        for client, text in ((one, WHOLE), (other, LONG[:300] + "Fin."), (other, WHOLE)):
            (await client.receive_utterance()).check(text)


async def test_slow_subscriber_overflows() -> None:
    listener = Subscriber(asyncio.Event())
    messages = [f"{number}" * (MAX_BACKLOG_BYTES // 8) for number in range(8)]
    for message in messages:
        listener.push(message, last=False)
    assert not listener.overflowed.is_set()
    assert await listener.get() == (messages[0], False)
    listener.push("last", last=True)
    assert [await listener.get() for _ in range(8)][-1] == ("last", True)
    listener.push("x" * MAX_BACKLOG_BYTES, last=False)
    listener.push("y", last=False)
    assert listener.overflowed.is_set()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(listener.get(), 0.01)


async def test_broadcast_waits_for_fastest_subscriber() -> None:
    broadcast = Broadcast(RelayState())
    piece = "x" * (HIGH_WATER_BYTES + 1)
    await broadcast.send(piece)
    with broadcast.subscribe() as slow, broadcast.subscribe() as quick:
        await broadcast.send(piece)
        waits = asyncio.create_task(broadcast.send("y"))
        await asyncio.sleep(0)
        await broadcast.send("stopped", last=True)
        assert not waits.done()
        assert await quick.get() == (piece, False)
        await waits
        assert [await quick.get() for _ in range(2)] == [("stopped", True), ("y", False)]
        assert slow.queued_bytes == len(piece) + len("stopped") + 1
        await broadcast.send(piece)
        waits = asyncio.create_task(broadcast.send("y"))
        await asyncio.sleep(0)
    await waits


@pytest.mark.heard
async def test_slow_client_is_closed(espeak_app: AppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.protocols.elevenlabs.relay.connection.CLOSE_TIMEOUT_S", WITHIN_S)
    async with (
        never_reading(espeak_app, "/client", max_size=None) as slow,
        connect_client(espeak_app.url, "/client") as quick,
        connect_client(espeak_app.url, "/agent") as agent,
    ):
        for _ in range(2):
            await agent.write(LONG)
        for _ in range(2):
            (await quick.receive_utterance()).check(LONG)
        async with asyncio.timeout(WITHIN_S):
            while (await facts(espeak_app))["flutter_clients"] != 1:
                await quick.ping()
        # A large buffer, so that the close frame is read before the server stops waiting.
        small = slow.transport.get_extra_info("socket")
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        assert await closing(slow) == (1013, "too slow: more than 8 MiB waited to be read")
        await agent.write(*ANSWER)
        (await quick.receive_utterance()).check(WHOLE)
