"""A span for each HTTP request and each WebSocket, the parent of all that is done for it."""

from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kani.core import request_ids, tracing
from kani.protocols.shared.protocol import STRAIGHT_SEND

RawHeaders = Iterable[tuple[bytes, bytes]]
"""Names in lower case, and values, as ASGI has them."""

METHODS = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS".split())
OTHER_METHOD = "_OTHER"
"""Name of any other method (OpenTelemetry's semantic conventions): clients may send any."""

RESPONSE_STARTS = ("http.response.start", "websocket.http.response.start")
SERVER_ERROR = 500
FAILURE_CODES = frozenset({1011, 1013})
"""Close codes of a server that gives up (RFC 6455, 7.4.1)."""


class Tracer(Protocol):
    """Begins the span of each connection."""

    def connection(self, name: str, headers: RawHeaders = ()) -> tracing.Span:
        """Begin a span; ``traceparent`` among the headers makes it part of the client's trace."""


class TracingMiddleware:
    """Traces HTTP requests and WebSockets, by their routes: paths and queries may hold names and keys.

    Its place is inside the middleware that names requests. untraced_paths: those that probes ask for.
    """

    def __init__(self, app: ASGIApp, tracer: Tracer, untraced_paths: frozenset[str]) -> None:
        self._app = app
        self._tracer = tracer
        self._untraced_paths = untraced_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Trace one HTTP request or one WebSocket."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._untraced_paths:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            method = "WebSocket"
        else:
            method = scope["method"] if scope["method"] in METHODS else OTHER_METHOD
        span = self._tracer.connection(method, scope["headers"])
        span.set(
            {
                "network.protocol.name": scope["type"],
                "http.request.method": "GET" if scope["type"] == "websocket" else method,
                "request.id": request_ids.current(),
            }
        )
        steps = _Steps(span)

        async def traced_receive() -> Message:
            message = await receive()
            steps.received(message)
            return message

        async def traced_send(message: Message) -> None:
            await send(message)
            steps.sent(message)

        scope.get("state", {}).pop(STRAIGHT_SEND, None)  # the first message is a step
        with span, tracing.bind(span):
            try:
                await self._app(scope, traced_receive, traced_send)
            finally:
                if (route := getattr(scope.get("route"), "path", None)) is not None:
                    span.rename(f"{method} {route}")
                    span.set({"http.route": route})


class _Steps:
    """Adds to a span what the messages of its connection show."""

    def __init__(self, span: tracing.Span) -> None:
        self._span = span
        self._answered = False
        self._closed = False

    def received(self, message: Message) -> None:
        if message["type"] == "websocket.disconnect":
            self._close(message.get("code", 1005))

    def sent(self, message: Message) -> None:
        if message["type"] in RESPONSE_STARTS:
            self._span.set({"http.response.status_code": message["status"]})
            if message["status"] >= SERVER_ERROR:
                self._span.fail(str(message["status"]))
        elif message["type"] == "websocket.close":
            self._close(message.get("code", 1000))
        elif not self._answered and any(message.get(key) for key in ("body", "bytes", "text")):
            self._answered = True
            self._span.event("first bytes")

    def _close(self, code: int) -> None:
        """Note the close code. uvicorn reports the end of a connection that is closed again, with 1005."""
        if self._closed:
            return
        self._closed = True
        self._span.set({"websocket.close_code": code})
        if code in FAILURE_CODES:
            self._span.fail(str(code))
