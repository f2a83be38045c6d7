"""Disconnections as a protocol sees them."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from kani.server.connections import Connections, Phase


async def test_every_sending_task_gets_the_disconnect() -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise ClientDisconnected

    async def dialect(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        for _ in range(2):
            with pytest.raises(WebSocketDisconnect):
                await socket.send_text("too late")

    connections = Connections(1, lambda count: None, 20.0)
    connections.phase = Phase.READY
    await connections.serve_websocket(dialect, {"type": "websocket", "path": "/"}, receive, send)


async def test_stopping_server_waits_until_the_client_has_answered_its_close_frame() -> None:
    """uvicorn reports a disconnect when the close frame is sent, and again when the socket is closed."""
    disconnect = {"type": "websocket.disconnect", "code": 1001}
    received: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    waited = 0

    async def receive() -> Message:
        nonlocal waited
        if received.empty():
            waited += 1
            received.put_nowait(disconnect)  # the answer comes only once it is waited for
        return await received.get()

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            received.put_nowait(disconnect)

    async def protocol(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.close(1001)

    connections = Connections(1, lambda count: None, 20.0)
    connections.phase = Phase.DRAINING
    await connections.serve_websocket(protocol, {"type": "websocket", "path": "/"}, receive, send)
    assert waited == 1
