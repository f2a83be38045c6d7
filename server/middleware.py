"""What comes in and goes out, counted at the door: bytes, HTTP answers, and how WebSockets end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013})
OTHER = "other"
ANSWERS = ("200", "400", "401", "403", "404", "413", "500", "503")


class HttpMetricsMiddleware:
    """Counts what passes; the outermost, so that what the others refuse is counted too.

    Bytes are those of bodies and messages, without heads and frames. A handshake that was refused is
    an HTTP answer. A close code that is not in ``CLOSE_CODES`` is "other": clients may send any.
    """

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        received = Counter(
            "kani_received_bytes", "Bytes of bodies and messages taken.", ["transport"], registry=registry
        )
        sent = Counter(
            "kani_sent_bytes", "Bytes of bodies and messages given out.", ["transport"], registry=registry
        )
        self._app = app
        self._received = {kind: received.labels(kind) for kind in ("http", "websocket")}
        self._sent = {kind: sent.labels(kind) for kind in ("http", "websocket")}
        self._answers = Counter(
            "kani_http_responses",
            "HTTP answers, refused WebSocket handshakes among them.",
            ["code"],
            registry=registry,
        )
        self._closed = Counter(
            "kani_websockets_closed", "WebSockets that ended, by close code.", ["code"], registry=registry
        )
        # Begun at 0: of a counter that begins at 1 nobody sees that it rose.
        for code in ANSWERS:
            self._answers.labels(code)
        for close in ("1006", "1009", "1011"):
            self._closed.labels(close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or one WebSocket."""
        kind = scope["type"]
        if kind not in self._received:
            await self._app(scope, receive, send)
            return
        taken, given = self._received[kind], self._sent[kind]
        open_socket = False

        async def counted_receive() -> Message:
            nonlocal open_socket
            message = await receive()
            if size := _size(message):
                taken.inc(size)
            elif open_socket and message["type"] == "websocket.disconnect":
                open_socket = False
                self._count_close(True, message.get("code", 1005))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal open_socket
            if size := _size(message):
                given.inc(size)
            elif message["type"] in ("http.response.start", "websocket.http.response.start"):
                self._answers.labels(str(message["status"])).inc()
            elif message["type"] == "websocket.accept":
                open_socket = True
            elif message["type"] == "websocket.close":
                self._count_close(open_socket, message.get("code", 1000))
                open_socket = False
            await send(message)

        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            if open_socket:
                self._count_close(True, 1006)

    def _count_close(self, was_open: bool, code: int) -> None:
        """Count an end; of one that was never open uvicorn makes an HTTP answer."""
        if was_open:
            self._closed.labels(str(code) if code in CLOSE_CODES else OTHER).inc()
        else:
            self._answers.labels("403").inc()


def _size(message: Mapping[str, Any]) -> int:
    payload = message.get("bytes") or message.get("text") or message.get("body") or b""
    if isinstance(payload, str) and not payload.isascii():
        payload = payload.encode("utf-8", "surrogatepass")
    return len(payload)
