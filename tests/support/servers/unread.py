"""Clients that do not read what they are sent, and what is made for them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.support.servers.app_server import AppServer


async def small_socket(port: int) -> socket.socket:
    """A connected socket that keeps next to nothing of what its owner doesn't read."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", port))
    return small


@asynccontextmanager
async def never_reading(server: AppServer, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """A connection to a client that reads nothing; its line breaks in the end."""
    small = await small_socket(server.port)
    silent: dict[str, Any] = {"max_queue": 1, "compression": None, "ping_interval": None}
    client = await connect(f"{server.url}{path}", sock=small, **silent, **options)
    try:
        yield client
    finally:
        client.transport.abort()
        await client.wait_closed()


async def speech_settles(server: AppServer) -> None:
    """Return once a server that has spoken makes no more speech."""
    before_s, made_s = -1.0, 0.0
    while not made_s or made_s != before_s:
        before_s, made_s = made_s, await server.figure("kani_speech_seconds_total")
        await asyncio.sleep(0.3)
