"""Parts of HTTP and WebSocket connections that all protocols handle alike."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

MAX_REASON_BYTES = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5)."""


def client_address(connection: HTTPConnection) -> str:
    """IP address that a client's rate limit counts by; empty on a socket without addresses."""
    return connection.client.host if connection.client else ""


async def close(websocket: WebSocket, code: int, reason: str = "") -> None:
    """Close a WebSocket, the reason cut to ``MAX_REASON_BYTES``; do nothing if the client has gone."""
    cut = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode(errors="ignore")
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, cut)
