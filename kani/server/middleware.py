"""ASGI middleware around every protocol: metrics, request ids, headers, unhandled errors."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from typing_extensions import override
from uvicorn.protocols.utils import ClientDisconnected

from kani.core import request_ids
from kani.protocols.shared.protocol import STRAIGHT_SEND, Refusal, RefusalBody
from kani.server.access import AccessRules, refusal_body
from kani.server.health import METRICS_PATH

CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1011, 1012, 1013})
"""WebSocket close codes with a metric label of their own."""

RESPONSE_STARTS = ("http.response.start", "websocket.http.response.start")
"""ASGI messages that begin an HTTP response, to a refused WebSocket handshake too."""

INTERNAL_ERROR, TRY_AGAIN_LATER = 1011, 1013
"""Close code (RFC 6455, 7.4.1)."""

log = logging.getLogger("server")


class HttpMetricsMiddleware:
    """Counts bytes, HTTP responses and WebSocket close codes; the outermost, so that refusals count too.

    Bytes are those of bodies and messages, without headers and frames. A refused handshake is an HTTP
    response. A close code outside ``CLOSE_CODES`` counts as "other": clients may send any.
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
        self._responses = Counter(
            "kani_http_responses",
            "HTTP answers, refused WebSocket handshakes among them.",
            ["code"],
            registry=registry,
        )
        self._closed = Counter(
            "kani_websockets_closed", "WebSockets that ended, by close code.", ["code"], registry=registry
        )
        # Prometheus sees no increase in a series that starts at 1, so the common ones start at 0.
        for code in ("200", "400", "401", "403", "404", "413", "500", "503"):
            self._responses.labels(code)
        for close in ("1006", "1009", "1011"):
            self._closed.labels(close)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in self._received:
            await self._app(scope, receive, send)
            return
        received, sent = self._received[kind], self._sent[kind]
        open_socket = False

        async def counted_receive() -> Message:
            nonlocal open_socket
            message = await receive()
            if size := _size(message):
                received.inc(size)
            elif open_socket and message["type"] == "websocket.disconnect":
                open_socket = False
                self._count_close(True, message.get("code", 1005))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal open_socket
            if size := _size(message):
                sent.inc(size)
            elif message["type"] in RESPONSE_STARTS:
                self._responses.labels(str(message["status"])).inc()
            elif message["type"] == "websocket.accept":
                open_socket = True
            elif message["type"] == "websocket.close":
                self._count_close(open_socket, message.get("code", 1000))
                open_socket = False
            await send(message)

        if kind == "websocket":
            scope.setdefault("state", {})[STRAIGHT_SEND] = counted_send
        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            if open_socket:
                self._count_close(True, 1006)

    def _count_close(self, was_open: bool, code: int) -> None:
        """Count a close; uvicorn turns the close of a socket that was never open into an HTTP 403."""
        if was_open:
            self._closed.labels(str(code) if code in CLOSE_CODES else "other").inc()
        else:
            self._responses.labels("403").inc()


def _size(message: Mapping[str, Any]) -> int:
    payload = message.get("bytes") or message.get("text") or message.get("body") or b""
    if isinstance(payload, str) and not payload.isascii():
        payload = payload.encode("utf-8", "surrogatepass")
    return len(payload)


@dataclass(eq=False)
class ResponseHeadersMiddleware:
    """Names each request: in the log lines that belong to it and in its X-Request-Id header.

    It also keeps every response from pages of other origins that embed it (Cross-Origin-Resource-Policy).
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_ids.new()

        async def send_with_headers(message: Message) -> None:
            if message["type"] in RESPONSE_STARTS:
                headers = MutableHeaders(scope=message)
                headers["cross-origin-resource-policy"] = "same-origin"
                headers["x-request-id"] = request_id
            await send(message)

        with request_ids.bind(request_id):
            await self.app(scope, receive, send_with_headers)


class CorsMiddleware(CORSMiddleware):
    """Lets the web pages that ``rules`` admit read responses."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        super().__init__(
            app,
            allow_methods=("GET", "POST", "PATCH", "DELETE"),
            allow_headers=("*",),
            allow_private_network=True,  # a page of another network has to be among the origins anyway
            expose_headers=("*",),
            max_age=600,
        )
        self._rules = rules

    @override
    def is_allowed_origin(self, origin: str) -> bool:
        return self._rules.origin_allowed(origin)

    @override
    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        # The server's own page needs no leave: of small files such headers would be a tenth.
        if request_headers.get("origin") == f"{scope['scheme']}://{request_headers.get('host')}":
            await self.app(scope, receive, send)
        else:
            await super().simple_response(scope, receive, send, request_headers)


@dataclass(eq=False)
class UnhandledErrorMiddleware:
    """Turns unhandled exceptions into a generic 500 (or close code 1011) and logs the traceback.

    Its place is inside the middleware that counts responses and names requests: the response is counted, and
    the traceback bears the request's id.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        accepted = answered = False

        async def noted_send(message: Message) -> None:
            nonlocal accepted, answered
            accepted |= message["type"] == "websocket.accept"
            answered |= message["type"] in (*RESPONSE_STARTS, "websocket.close")
            await send(message)

        try:
            await self.app(scope, receive, noted_send)
        except ClientDisconnected:
            raise
        except Exception as error:
            log.exception("%r: unhandled error", scope["path"])
            # uvicorn aborts the connection of a response that has begun, so the client sees it break off.
            if not answered:
                with suppress(ClientDisconnected):
                    await _answer_error(error, scope, receive, send, accepted=accepted)


async def _answer_error(
    error: Exception, scope: Scope, receive: Receive, send: Send, *, accepted: bool
) -> None:
    message, status, code = "internal error", 500, INTERNAL_ERROR
    if isinstance(error, MemoryError):
        message, status, code = "this server has too little memory for it now", 503, TRY_AGAIN_LATER
    response = JSONResponse({"error": {"message": message}}, status)
    if accepted:
        await send({"type": "websocket.close", "code": code, "reason": message})
    elif scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


@dataclass(eq=False)
class MetricsOnlyMiddleware:
    """Serves nothing but the metrics on ``port``: on their own path and on `/`."""

    app: ASGIApp
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        here = scope["type"] in ("http", "websocket") and scope["server"][1] == self.port
        if here and (scope["type"] == "websocket" or scope["path"] not in ("/", METRICS_PATH)):
            answer = JSONResponse({"error": {"message": f"there is only {METRICS_PATH} on this port"}}, 404)
            await answer(scope, receive, send)
            return
        await self.app({**scope, "path": METRICS_PATH} if here else scope, receive, send)


class ErrorAnswers:
    """Answers what no route answers; ``bodies``: JSON bodies by path prefix."""

    def __init__(self, bodies: Mapping[str, RefusalBody]) -> None:
        self._bodies = bodies

    async def http_error(self, request: Request, error: Exception) -> Response:
        """Answer an HTTPException: an unknown path, a wrong method, a body that is too large."""
        assert isinstance(error, HTTPException)
        path, status, headers = request.url.path, error.status_code, dict(error.headers or {})
        call = f"{request.method} {path}"
        reason = f"{call} is not served here" if status in (404, 405) else error.detail
        if status == 405:
            # Starlette names the methods of the first route of a path.
            headers["Allow"] = ", ".join(_methods(request))
            reason += f", only {headers['Allow']}"
        body = refusal_body(self._bodies, path)(Refusal(status, reason, call))
        return JSONResponse(body, status, headers)

    async def client_disconnected(self, request: Request, error: Exception) -> Response:
        """End a request when its client leaves before the body is complete; the answer is never read."""
        return Response(status_code=400)

    async def unknown_websocket(self, websocket: WebSocket) -> None:
        """Refuse a handshake on a path without a protocol."""
        path = websocket.url.path
        refusal = Refusal(404, f"WebSocket {path} is not served here; try /", f"WebSocket {path}")
        await websocket.send_denial_response(JSONResponse(refusal_body(self._bodies, path)(refusal), 404))


def _methods(request: Request) -> list[str]:
    """Return the methods that the routes of a request's path take."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    fitting = (route for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in fitting for method in route.methods or ()})
