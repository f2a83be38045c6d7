"""Parts of HTTP and WebSocket connections that all protocols handle alike."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.protocol import STRAIGHT_SEND
from kani.protocols.shared.tasks import run_until_first

NORMAL, GOING_AWAY, BAD_DATA, POLICY_VIOLATION, TOO_BIG = 1000, 1001, 1007, 1008, 1009
INTERNAL_ERROR, TRY_LATER = 1011, 1013
"""Close codes (RFC 6455, section 7.4.1, and IANA's registry)."""

STOPPING = "the server is stopping"
"""Reason of a close with ``GOING_AWAY``."""

MAX_REASON_BYTES = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5)."""


class Client:
    """The client of an accepted WebSocket.

    Messages are sent one at a time, in their order: Starlette supports a single sender. So each of several
    streams gets its share of a slow line, and at most one message waits on the line.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self.address = client_address(websocket)
        self.languages = accept_languages(websocket.headers)
        """BCP 47 tags of its ``Accept-Language``."""
        self.websocket = websocket
        self._send = websocket.scope.get("state", {}).get(STRAIGHT_SEND, websocket.send)
        self._sending = asyncio.Lock()

    async def receive(self) -> str | bytes | None:
        """Return its next message, None once it has disconnected."""
        received = await self.websocket.receive()
        if received["type"] == "websocket.disconnect":
            return None
        message: str | bytes = received["bytes"] if received.get("text") is None else received["text"]
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message. Raises WebSocketDisconnect once the connection is closed, by either side."""
        async with self._sending:
            # Starlette has a RuntimeError for what is sent after that.
            if self.websocket.application_state is not WebSocketState.CONNECTED:
                raise WebSocketDisconnect
            kind = "text" if isinstance(message, str) else "bytes"
            await self._send({"type": "websocket.send", kind: message})

    async def close(self, code: int = NORMAL, reason: str = "", *, last: str | bytes = "") -> None:
        """Close the connection, after a ``last`` message if there is one; do nothing if it is closed."""
        with suppress(WebSocketDisconnect):
            if last:
                await self.send(last)
            await close(self.websocket, code, reason)

    async def serve(self, *works: Coroutine[None, None, None]) -> None:
        """Run coroutines until one ends or finds that the client has disconnected."""
        await run_until_first(*works, ignore=WebSocketDisconnect)


def own_url(connection: HTTPConnection) -> str:
    """Return this server's URL as the client sees it: the scheme that a proxy tells, and ``Host``."""
    forwarded = connection.headers.get("x-forwarded-proto", connection.url.scheme)
    secure = forwarded.partition(",")[0].strip().lower() in ("https", "wss")
    return f"http{'s' * secure}://{connection.headers.get('host', 'localhost')}"


def client_address(connection: HTTPConnection) -> str:
    """IP address that a client's rate limit counts by; empty on a socket without addresses."""
    return connection.client.host if connection.client else ""


async def close(websocket: WebSocket, code: int, reason: str = "") -> None:
    """Close a WebSocket, the reason cut to ``MAX_REASON_BYTES``; do nothing if the client has gone."""
    cut = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode(errors="ignore")
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(code, cut)
