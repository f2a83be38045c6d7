"""Connections that one process hands over to another, on real sockets."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import cast

import h11
import pytest
import uvloop

from kani.server.network.handover import Handover, is_owned
from kani.server.network.uvicorn_http import READ_BYTES, SmallReads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="several fronts need Linux")

OWNED = ("/a/", "/b?id", "POST /c")
POST = b"POST /a/%62?x=1 HTTP/1.1\r\nHost: here\r\nX-Mixed: Case\r\nContent-Length: 4\r\n\r\n"


@pytest.fixture
async def accepted() -> AsyncIterator[tuple[asyncio.Transport, socket.socket]]:
    """A connection as it was accepted, and its client."""
    loop = asyncio.get_running_loop()
    own, client = socket.socketpair()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, own)
    client.settimeout(5.0)
    yield transport, client
    transport.abort()
    client.close()


@pytest.mark.parametrize(
    ("method", "path", "query", "owned"),
    [
        *(("GET", "/a/1", "", True), ("GET", "/a", "", False)),
        *(("GET", "/b", "x=1&id=2", True), ("GET", "/b", "x=id", False)),
        *(("POST", "/c", "", True), ("GET", "/c", "", False)),
    ],
)
def test_owner_answers(method: str, path: str, query: str, owned: bool) -> None:
    assert is_owned((method, path, query), OWNED) is owned


def parsed(request: bytes) -> tuple[h11.Request, bytes]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    return event, connection.trailing_data[0]


async def test_connection_goes_on_elsewhere(accepted: tuple[asyncio.Transport, socket.socket]) -> None:
    transport, client = accepted
    handover = Handover(OWNED)
    assert not handover.pass_on(*parsed(b"GET /a HTTP/1.1\r\nHost: here\r\n\r\n"), transport)
    assert handover.pass_on(*parsed(POST + b"bo"), transport)
    async with asyncio.timeout(5.0):
        taken, read = await handover.receive()
    await asyncio.sleep(0)  # the transport lets go of the socket
    with taken:
        assert read == POST + b"bo"
        client.sendall(b"dy")
        assert taken.recv(9) == b"dy"
        taken.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert client.recv(99) == b"HTTP/1.1 200 OK\r\n\r\n"
    handover.close()


async def test_connection_stays_where_too_many_wait(
    accepted: tuple[asyncio.Transport, socket.socket],
) -> None:
    transport, _ = accepted
    handover = Handover(OWNED)
    request, _ = parsed(POST)
    passed, taken = 0, True
    while taken:
        own, client = socket.socketpair()
        another, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, own)
        taken = handover.pass_on(request, bytes(2**16), another)  # as long as a head may be
        passed += taken
        another.abort()
        client.close()
    assert passed
    assert not handover.pass_on(request, bytes(2**16), transport) and not transport.is_closing()
    handover.close()


class Pausing(asyncio.Protocol):
    """Reads no more after the first input."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.came = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.read.append(data)
        self.came.set()
        self.transport.pause_reading()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_was_read_before_comes_first_and_pauses_the_rest(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def serve() -> None:
        own, client = socket.socketpair()
        client.sendall(b"later")
        protocol = Pausing()
        reads = SmallReads(protocol, bytearray(READ_BYTES), b"first")
        await asyncio.get_running_loop().connect_accepted_socket(lambda: reads, own)
        async with asyncio.timeout(5.0):
            await protocol.came.wait()
            if protocol.read == [b"first"]:
                # The next read would be due in the next turns.
                for _ in range(5):
                    await asyncio.sleep(0)
                assert protocol.read == [b"first"]
                protocol.came.clear()
                protocol.transport.resume_reading()
                await protocol.came.wait()
        assert b"".join(protocol.read) == b"firstlater"
        protocol.transport.abort()
        client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve())
