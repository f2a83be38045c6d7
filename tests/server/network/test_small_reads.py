"""What one connection's unread body costs: a piece at a time, read when the application asks for it.

On both event loops, which differ in when they look at the kind of a protocol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect

from kani.server.network.small_reads import READ_BYTES
from tests.server.network.test_input_turns import served
from tests.support.event_loop import settle

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

BODY = 4 * 2**20
HEAD = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY}\r\n\r\n".encode()

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on an event loop of the library of that name."""
    make = pytest.importorskip(request.param).new_event_loop

    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(test)

    return run


def test_body_is_read_in_small_pieces_and_no_further_than_asked(run: Run) -> None:
    pieces: list[int] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["more_body"]:
            pieces.append(len(message["body"]))
            if len(pieces) == 1:
                # More would pile up now, if it were read.
                await settle()
        pieces.append(len(message["body"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def upload() -> None:
        async with served(application) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + bytes(BODY))
            assert b" 204 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    run(upload())
    assert sum(pieces) == BODY
    assert max(pieces) <= READ_BYTES


def test_socket_after_its_handshake_is_read_by_its_own_protocol(run: Run) -> None:
    sent = bytes(range(256)) * 4096

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await send({"type": "websocket.send", "bytes": (await receive())["bytes"]})
        await receive()

    async def talk() -> None:
        async with served(application) as port, connect(f"ws://127.0.0.1:{port}/", max_size=None) as client:
            for message in (b"x", sent):
                await client.send(message)
                assert await client.recv() == message

    run(talk())
