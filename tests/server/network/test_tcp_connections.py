"""Connections that say nothing, too little, or take nothing; and the memory of unfinished requests."""

import asyncio
import json
import resource
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import ClassVar

import httpx2
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from kani.core.errors import Busy
from kani.core.session.budget import Budget
from kani.server.lifecycle import accept_connections, http_config
from kani.server.network.listeners import HTTP_CONNECTIONS, LATER_FILES, max_tcp_connections, open_files
from kani.server.network.tcp_connections import PROGRESS_BYTES, Awaited, ReadTimeouts, TcpTable
from kani.server.network.upload_budget import FREE_BYTES, upload_budget
from kani.server.network.uvicorn_websocket import WebSocketProtocol
from tests.support.patience import WITHIN_S, happens
from tests.support.servers import asgi
from tests.support.servers.app_server import KEY
from tests.support.servers.serving import serving

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
HASTY = ReadTimeouts(head_s=0.3, progress_s=0.3, close_s=0.3, check_interval_s=0.05)
GUARD_S = 120.0
"""Long enough for any machine: what is waited for comes by itself."""

MANY_BYTES = 32 * 2**20
"""More than the buffers of a socket hold."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a request to its end and say how long its body was; on a WebSocket say how long each message is.

    `/much` answers with ``MANY_BYTES``, and at once.
    """
    if scope["type"] == "websocket":
        await asgi.accepted(receive, send)
        while (message := await receive())["type"] != "websocket.disconnect":
            await send({"type": "websocket.send", "text": str(len(message["bytes"]))})
        return
    length = 0
    while (message := await receive())["type"] == "http.request":
        length += len(message["body"])
        if not message["more_body"]:
            answer = bytes(MANY_BYTES) if scope["path"] == "/much" else str(length).encode()
            headers = [(b"content-length", str(len(answer)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": answer})
            return


class Served:
    """The application, served. ``cut`` counts why connections were ended; ``table`` holds those there are."""

    def __init__(self, limit: int, patience: ReadTimeouts) -> None:
        self.cut: Counter[str] = Counter()
        self.table = TcpTable(limit, self._count, patience)
        self.intake = upload_budget()
        self.port = 0

    def _count(self, reason: str) -> None:
        self.cut[reason] += 1

    async def empty(self) -> None:
        """Return when a connection was there, and none is any more."""
        await happens(lambda: len(self.table))
        await happens(lambda: not len(self.table))

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def healthy(self) -> bool:
        """Return True if a new client is answered, which may take its time."""
        self.table._timeouts = ReadTimeouts()
        async with httpx2.AsyncClient(timeout=GUARD_S) as client:
            return (await client.post(f"http://127.0.0.1:{self.port}/", content=b"abc")).text == "3"


@asynccontextmanager
async def served(
    limit: int = 64,
    patience: ReadTimeouts = HASTY,
    tls: ssl.SSLContext | None = None,
    idle_s: int | None = None,
) -> AsyncIterator[Served]:
    server = Served(limit, patience)

    class Protocol(WebSocketProtocol):
        upload_budget: ClassVar[Budget] = server.intake

    async with asgi.served(application, server.table, Protocol, tls, idle_s) as server.port:
        yield server


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Bytes received until the server ends the connection, however it does."""
    received = b""
    try:
        async with asyncio.timeout(GUARD_S):
            while piece := await reader.read(65536):
                received += piece
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize(
    ("first", "said", "reason"),
    [
        *((b"", said, "head") for said in (b"", GET[:-2])),
        *((b"", said, "body") for said in (POST, POST + bytes(PROGRESS_BYTES - 1000))),
        (GET, GET[:-2], "head"),  # the next request has a limit of its own
    ],
    ids=["nothing", "half a head", "no body", "half a body", "half a second head"],
)
async def test_late_input_closes_its_connection(first: bytes, said: bytes, reason: str) -> None:
    async with served() as server:
        reader, writer = await server.client()
        writer.write(first)
        if first:
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        writer.write(said)
        assert await ended(reader) == b""
        assert server.cut == {reason: 1} and await server.healthy()
        writer.close()


async def test_an_idle_connection_takes_the_next_request() -> None:
    config = http_config(application, WebSocketProtocol)
    # nginx keeps a connection to a server for 60 s, Go's clients 90 s, Google's load balancers 600 s.
    assert config.timeout_keep_alive > 600
    async with served() as server:
        reader, writer = await server.client()
        for _ in range(3):
            writer.write(GET.replace(b"GET", b"POST"))
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
            # Longer than a head may take, by many looks of the table.
            await asyncio.sleep(3 * HASTY.head_s)
        assert not server.cut and not reader.at_eof()
        writer.close()


async def test_an_idle_connection_ends_in_time() -> None:
    async with served(idle_s=1) as server:
        reader, writer = await server.client()
        writer.write(GET)
        assert (await ended(reader)).endswith(b"\r\n\r\n0")
        assert not server.cut
        writer.close()


async def test_idle_connections_make_room_before_others() -> None:
    async with served(limit=4, patience=ReadTimeouts()) as server:
        new = [await server.client() for _ in range(2)]  # they may begin their requests
        idle = [await server.client() for _ in range(2)]
        for reader, writer in idle:
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n0")
        for count, (gone, _) in enumerate(idle, 1):
            new.append(await server.client())
            assert await ended(gone) == b"" and server.cut == {"crowded": count}
        for reader, writer in new:
            writer.write(GET)
            assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        for _, writer in (*new, *idle):
            writer.close()


async def test_head_that_comes_byte_by_byte_has_the_same_limit() -> None:
    async with served() as server:
        reader, writer = await server.client()
        ending = asyncio.create_task(ended(reader))
        for _ in range(300):
            if ending.done():
                break
            writer.write(b"G")
            await asyncio.sleep(0.01)
        assert server.cut == {"head": 1} and await ending == b""
        writer.close()


async def test_slow_body_is_received() -> None:
    patience = ReadTimeouts()
    async with served(patience=patience) as server:
        _, writer = await server.client()
        table = TcpTable(1, print)
        tcp = table.admit(writer.close)
        assert tcp is not None and isinstance(writer.transport, asyncio.Transport)
        tcp.attach(writer.transport, writer.close)
        tcp.expect(Awaited.BODY)
        now = table.now()
        for _ in range(10):
            now += patience.progress_s
            tcp.received(PROGRESS_BYTES)
            assert tcp.timeout_reason(now, patience) is None
        tcp.received(PROGRESS_BYTES - 1)
        assert tcp.timeout_reason(now + patience.progress_s - 0.1, patience) is None
        writer.transport.pause_reading()
        assert tcp.timeout_reason(now + 100.0, patience) is None
        writer.transport.resume_reading()
        assert tcp.timeout_reason(now + 101.0, patience) is None
        assert tcp.timeout_reason(now + 100.0 + patience.progress_s, patience) == "body"
        writer.close()


async def test_a_tls_handshake_has_a_limit(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme", reason="trustme, which makes certificates, is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with served(limit=2, tls=context) as server:
        clients = [await server.client() for _ in range(2)]
        clients[0][1].write(b"\x16\x03\x01\x02\x00")
        assert [await ended(reader) for reader, _ in clients] == [b"", b""]
        assert server.cut == {"head": 2} and len(server.table) == 0
        # Room is made for one who does speak, before anything of theirs is read.
        idle = [await server.client() for _ in range(2)]
        server.table._timeouts = ReadTimeouts()
        async with httpx2.AsyncClient(verify=trusting, timeout=GUARD_S) as client:
            answer = await client.post(f"https://localhost:{server.port}/", content=b"abc")
        assert answer.text == "3" and server.cut["crowded"] + server.cut["head"] > 2
        for _, writer in (*clients, *idle):
            writer.close()


async def test_the_oldest_that_says_nothing_makes_room() -> None:
    async with served(limit=4, patience=ReadTimeouts()) as server:
        uploading, writer = await server.client()
        # The server asks for the body when it has read the head.
        writer.write(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        await uploading.readuntil(b"100 Continue\r\n")
        clients = [await server.client() for _ in range(6)]
        for gone, _ in clients[:3]:
            assert await ended(gone) == b""
        assert server.cut == {"crowded": 3} and await server.healthy()
        asking = [await server.client() for _ in range(3)]
        for _, each in asking:
            each.write(GET)
        assert [(await reader.readuntil(b"\r\n\r\n0"))[:12] for reader, _ in asking] == [b"HTTP/1.1 200"] * 3
        for each in (writer, *(each for _, each in (*clients, *asking))):
            each.close()


def limit_with_free_files(count: int) -> int:
    """Return the limit on open files that lets this process open ``count`` more."""
    used = {int(each.name) for each in Path("/dev/fd").iterdir()}
    return next(islice((number for number in range(1_000_000) if number not in used), count, None))


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs the list of open files")
async def test_the_oldest_makes_room_where_no_file_is_left() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cut = Counter[str]()
    table = TcpTable(1000, lambda reason: cut.update([reason]), ReadTimeouts())
    async with asyncio.timeout(WITHIN_S), AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        clients = [await asyncio.open_connection(*listener.getsockname()) for _ in range(40)]
        for _, writer in clients:
            stack.callback(writer.close)
        config = http_config(application, WebSocketProtocol)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit_with_free_files(12), hard))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        await stack.enter_async_context(accept_connections(config, [listener], None, asyncio.Event(), table))
        reader, writer = clients[-1]
        writer.write(GET)
        assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200")
        assert [await ended(reader) for reader, _ in clients[:28]] == [b""] * 28
        assert set(cut) == {"crowded"} and len(table) <= 12
        # Room is left for files of the server's own; connections get it back in time.
        assert table._limit < 12
        for _ in range(20):
            table._check(table.now())
        assert table._limit > 12


def test_files_of_the_server_itself_are_no_connections() -> None:
    assert max_tcp_connections(4096, 100_000, 20) == 4096 + HTTP_CONNECTIONS
    assert max_tcp_connections(4096, 1000, 20) == 750
    assert max_tcp_connections(4096, 64, 20) == 64 - 20 - LATER_FILES
    assert max_tcp_connections(4096, 30, 20) == 1
    with socket.socket():
        assert 3 < open_files() < 1_000_000


async def test_full_table_of_served_connections_refuses_new_ones() -> None:
    async with served(limit=2) as server:
        url = f"ws://127.0.0.1:{server.port}"
        async with connect(url) as one, connect(url):
            reader, writer = await server.client()
            assert await ended(reader) == b""
            assert server.cut == {"full": 1}
            writer.close()
            await one.send(b"12")
            assert await one.recv() == "2"
        assert await server.healthy()


async def test_a_goodbye_has_a_limit() -> None:
    async with served() as server:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"GET /much HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await server.empty()
        assert server.cut == {"goodbye": 1}


async def test_a_long_message_that_stalls_is_closed_with_1008() -> None:
    async with served() as server:
        async with connect(f"ws://127.0.0.1:{server.port}", max_size=None) as short:
            short.transport.write(b"\x82\xfe\x00\x80mask" + bytes(10))
            async with connect(f"ws://127.0.0.1:{server.port}") as long:
                long.transport.write(b"\x82\xff" + (2**20).to_bytes(8) + b"mask" + bytes(2 * FREE_BYTES))
                assert (await asgi.closing(long))[0] == 1008
            assert server.cut == {"message": 1} and server.intake.used == 0
            short.transport.write(bytes(118))
            assert await asyncio.wait_for(short.recv(), GUARD_S) == "128"


async def test_a_message_in_pieces_counts_as_a_whole_does() -> None:
    async with served(patience=ReadTimeouts()) as server:
        async with connect(f"ws://127.0.0.1:{server.port}") as client:
            piece = b"mask" + bytes(FREE_BYTES)
            head = (FREE_BYTES).to_bytes(8)
            client.transport.write(b"\x02\xff" + head + piece + b"\x00\xff" + head + piece)
            await happens(lambda: server.intake.used == FREE_BYTES)
            client.transport.write(b"\x80\xff" + head + piece)
            assert await client.recv() == str(3 * FREE_BYTES) and server.intake.used == 0
            client.transport.write(b"\x02\xff" + head + piece + b"\x00\xff" + head + piece)
            await happens(lambda: server.intake.used)
            client.transport.abort()
            await server.empty()
        assert server.intake.used == 0


def test_more_than_there_is_room_for_is_refused() -> None:
    intake = upload_budget(100)
    with intake.share() as one, intake.share() as other:
        one.resize(FREE_BYTES)
        assert (one.size, intake.used) == (0, 0)
        one.resize(FREE_BYTES + 60)
        other.resize(FREE_BYTES + 40)
        with pytest.raises(Busy):
            other.resize(FREE_BYTES + 41)
        assert (other.size, intake.used) == (40, 100)
        one.resize(0)
        other.resize(FREE_BYTES + 100)
        assert intake.used == 100
    assert intake.used == 0
    # One by itself may be longer.
    with intake.share() as one, intake.share() as other:
        one.resize(FREE_BYTES + 1000)
        with pytest.raises(Busy):
            other.resize(FREE_BYTES + 1)
        one.resize(FREE_BYTES + 500)
        assert intake.used == 500


async def test_message_before_a_key_has_no_share(tmp_path: Path) -> None:
    """A client that has yet to send its key cannot use up the room of others."""
    async with serving(tmp_path, KANI_API_KEYS=KEY) as server, asyncio.timeout(WITHIN_S):
        url = f"{server.url}/v1/text-to-speech/tone_es/stream-input"
        # As through a proxy: clients of this machine need no key.
        remote = {"X-Forwarded-For": "192.0.2.1"}
        async with connect(url, additional_headers=remote) as client:
            client.transport.write(b"\x81\xff" + (2**20).to_bytes(8) + b"mask" + bytes(2 * FREE_BYTES))
            assert await asgi.closing(client) == (1009, "more than 65536 bytes of a message before a key")
        async with connect(url, additional_headers=remote) as client:
            await client.send(json.dumps({"text": " ", "xi_api_key": KEY}))
            await client.send(json.dumps({"text": "uno ", "unknown": "x" * 2**20}))
            await client.send(json.dumps({"text": ""}))
            answers = [json.loads(message) async for message in client]
        assert answers[-1]["isFinal"]
