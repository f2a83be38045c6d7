"""ASGI applications: on the server's own uvicorn, or spoken to without any server."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Send
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from kani.server.lifecycle import accept_connections, http_config
from kani.server.network.tcp_connections import TcpTable
from kani.server.network.uvicorn_websocket import WebSocketProtocol
from tests.support.patience import WITHIN_S

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@asynccontextmanager
async def served(
    application: ASGIApp,
    table: TcpTable | None = None,
    protocol: type[WebSocketProtocol] = WebSocketProtocol,
    tls: ssl.SSLContext | None = None,
    idle_s: int | None = None,
) -> AsyncIterator[int]:
    if table is None:  # one without a connection is false
        table = TcpTable(64, print)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the server's own
        config = http_config(application, protocol)
        config.timeout_keep_alive = idle_s or config.timeout_keep_alive
        async with accept_connections(config, [listener], tls, asyncio.Event(), table):
            yield listener.getsockname()[1]


async def exchange(application: ASGIApp, scope: dict[str, Any], *incoming: Message) -> list[Message]:
    """What an application sends that gets these messages."""
    waiting, sent = iter(incoming), list[Message]()

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return sent


async def accepted(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})


async def disconnected(receive: Receive) -> Message:
    """Read until the client has gone; returns the message that says so."""
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    return message


async def closing(client: ClientConnection) -> tuple[int | None, str | None]:
    """The code and the reason with which the server closes a WebSocket."""
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(ConnectionClosed):
            while True:
                await client.recv()
    return client.close_code, client.close_reason


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
