"""Crowds that mean ill: whom they keep out of a server, and what they cost it."""

import asyncio
import os
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from kani.server.network.upload_budget import LIMIT_BYTES
from tests.conftest import ServerProcess, StartServer
from tests.support.servers.address import figure
from tests.support.servers.asgi import HANDSHAKE

pytestmark = [
    pytest.mark.heard,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("prlimit") is None, reason="needs Linux's /proc and prlimit"
    ),
]

FILES = 1000
"""Files that the server may open. Its crowd is larger than that."""

CROWD = 1000
BODY = 16 * 2**20
MORE_BYTES = 64 * 2**20
"""Memory for unfinished requests, with those that are refused and what Python needs besides."""

GUARD_S = 300.0
BEGINNINGS = (
    b"",
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n",
    b"POST /tts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
)


@pytest.fixture(scope="module", autouse=True)
def _files_of_our_own() -> Iterator[None]:
    """The crowd's sockets are files of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * CROWD:
        pytest.skip(f"this machine allows {hard} open files, and {2 * CROWD} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * CROWD), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def besieged(start_server: StartServer) -> ServerProcess:
    return start_server("--engine", "espeak", behind=("prlimit", f"--nofile={FILES}"))


def resident(server: ServerProcess) -> int:
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def gone(client: socket.socket) -> bool:
    """Wait until the server has ended a connection, without a word."""
    client.settimeout(GUARD_S)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


def test_silent_crowd_does_not_block_other_clients(besieged: ServerProcess) -> None:
    with ExitStack() as stack:
        crowd = []
        for number in range(CROWD):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", besieged.port)))
            client.sendall(BEGINNINGS[number % len(BEGINNINGS)])
            crowd.append(client)
            if number % 100 == 99:
                answer = httpx2.get(f"{besieged.http_url}/health", timeout=GUARD_S)
                assert answer.status_code == 200, answer.text
        assert len(list(Path(f"/proc/{besieged.process.pid}/fd").iterdir())) < FILES
        spoken = httpx2.post(f"{besieged.http_url}/tts", json={"text": "Hola."}, timeout=GUARD_S)
        assert spoken.status_code == 200
        assert all(gone(client) for client in crowd)
    told = httpx2.get(f"{besieged.http_url}/metrics", timeout=GUARD_S).text
    assert figure(told, "kani_connections_closed_total") >= CROWD
    assert figure(told, "kani_connections_closed_total", reason="crowded") > 0
    assert figure(told, "kani_connections_closed_total", reason="full") == 0
    assert "no connection can be accepted" not in besieged.log


def test_silent_crowd_with_few_files_is_closed_at_once(start_server: StartServer) -> None:
    """None of it waits for the ten seconds that a head may take."""
    server = start_server("--engine", "espeak", behind=("prlimit", "--nofile=64"))
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        answer = httpx2.get(f"{server.http_url}/metrics", timeout=GUARD_S)
        assert figure(answer.text, "kani_connections_closed_total", reason="crowded") > 100
        assert figure(answer.text, "kani_connections_closed_total", reason="head") == 0
        spoken = httpx2.post(f"{server.http_url}/tts", json={"text": "Hola."}, timeout=GUARD_S)
        assert spoken.status_code == 200
    assert "no connection can be accepted" not in server.log


UNFINISHED = {
    "body": (b"", f"POST /tts HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY}\r\n\r\n".encode()),
    "message": (HANDSHAKE, b"\x82\xff" + BODY.to_bytes(8) + b"mask"),
}


async def unfinished(port: int, handshake: bytes, head: bytes, sent: asyncio.Event) -> bytes:
    """Bytes that answer a body or message, which stops one byte before its end; empty if nothing does.

    The connection is open until ``sent`` is set.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake)
    if handshake:
        await reader.readuntil(b"\r\n\r\n")
    writer.write(head)
    answer, waiting, size = asyncio.create_task(reader.read(1024)), asyncio.create_task(sent.wait()), BODY - 1
    try:
        while size and not answer.done():
            piece = bytes(min(size, 2**18))
            writer.write(piece)
            size -= len(piece)
            await writer.drain()
        await asyncio.wait((answer, waiting), return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else b""
    except ConnectionError:
        return b""
    finally:
        answer.cancel()
        waiting.cancel()
        writer.transport.abort()


@pytest.mark.parametrize("beginning", UNFINISHED.values(), ids=UNFINISHED)
async def test_unfinished_uploads_are_bounded(
    espeak_server: ServerProcess, beginning: tuple[bytes, bytes]
) -> None:
    (await espeak_server.post("/tts", json={"text": "Hola."})).raise_for_status()
    before = resident(espeak_server)
    sent = asyncio.Event()
    async with asyncio.timeout(GUARD_S), asyncio.TaskGroup() as group:
        crowd = [group.create_task(unfinished(espeak_server.port, *beginning, sent)) for _ in range(60)]
        refused, held = set(), set(crowd)
        while len(held) > LIMIT_BYTES // BODY:
            done, held = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
            refused |= done
        grown = resident(espeak_server) - before
        spoken = await espeak_server.post("/tts", json={"text": "Hola."})
        assert spoken.status_code == 200
        sent.set()
    assert grown <= MORE_BYTES, f"{grown / 2**20:.0f} MiB"
    # A connection that is closed while its client still writes may be reset before the reason is read.
    told = [answer for task in refused if (answer := task.result())]
    assert told and all(b" 503 " in answer or b"\x03\xf5too much" in answer for answer in told), told
