"""uvicorn's WebSocket with bounds of its own, below an application that is as small as can be."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from kani.server.lifecycle import accept_connections
from kani.server.network.tcp_connections import TcpTable
from kani.server.network.uvicorn_websocket import WebSocketProtocol
from kani.server.settings import load

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

NO_FRAME = b"\xff\x80mask"
"""What no client may send: reserved bits, and a kind of frame that there is not."""


@pytest.mark.parametrize("message", [{"type": "websocket.send", "text": "late"}, {"type": "websocket.close"}])
async def test_send_after_uvicorns_close_raises_client_disconnected(
    caplog: pytest.LogCaptureFixture, message: Message
) -> None:
    told: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        try:
            await send(message)
            told.set_result(None)
        # Which one it is is the question.
        except Exception as error:
            told.set_result(error)

    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        served = accept_connections(
            application, load({}), [door], WebSocketProtocol, None, asyncio.Event(), TcpTable(64, print)
        )
        async with served, connect(f"ws://127.0.0.1:{port}") as client:
            client.transport.write(NO_FRAME)
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert isinstance(await told, OSError)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
