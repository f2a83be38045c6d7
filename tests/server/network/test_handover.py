"""Connections that one process hands over to another, on real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator

import h11
import pytest

from kani.server.network.handover import Handover, is_owned

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
    passed = 0
    for _ in range(5):  # each as long as a head may be
        own, client = socket.socketpair()
        another, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, own)
        passed += handover.pass_on(request, bytes(2**16), another)
        another.abort()
        client.close()
    assert 0 < passed < 5
    assert not handover.pass_on(request, bytes(2**16), transport) and not transport.is_closing()
    handover.close()
