"""Disconnections as a protocol sees them, and what is served while the server starts."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from kani.server.connections import Connections, ConnectionsMiddleware, Phase
from kani.server.network.upload_budget import UploadBudget


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


@pytest.mark.parametrize(
    ("kind", "path", "served"),
    [("http", "/", True), ("websocket", "/", False), ("http", "/v1/models", False)],
)
async def test_while_the_server_starts_only_the_page_is_served(kind: str, path: str, served: bool) -> None:
    """The page's path is a WebSocket's, too."""
    reached: list[str] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    starting = Connections(1, lambda count: None, 20.0)
    middleware = ConnectionsMiddleware(app, starting, frozenset({"/"}), 100, UploadBudget(), {})
    await middleware({"type": kind, "path": path, "headers": []}, receive, send)
    assert reached == [path] * served
    assert [message["status"] for message in sent if "status" in message] == [503] * (not served)
