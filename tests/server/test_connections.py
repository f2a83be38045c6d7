"""Disconnections as a protocol sees them."""

from __future__ import annotations

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
