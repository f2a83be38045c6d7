"""What nobody foresaw, where it meets a client: an answer that tells nothing, and a traceback in the log."""

from __future__ import annotations

import logging
from contextlib import suppress

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.protocols.utils import ClientDisconnected

CLOSE_CODE = 1011
"""Internal error (RFC 6455, 7.4.1)."""

log = logging.getLogger("server")


class UnhandledErrorMiddleware:
    """Ends what an application failed to: an HTTP request with 500, a WebSocket with 1011.

    It stands inside of those who count answers and name requests, so that both have what it answers, and
    the traceback bears the request's id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or one WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        open_socket = answered = False

        async def noted(message: Message) -> None:
            nonlocal open_socket, answered
            if message["type"] == "websocket.accept":
                open_socket = True
            elif message["type"] in (
                "http.response.start",
                "websocket.http.response.start",
                "websocket.close",
            ):
                answered = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnected:
            raise
        except Exception:
            log.exception("%r: what nobody foresaw", scope["path"])
            # Of an answer that has begun uvicorn ends the connection: it is seen to be torn off.
            if answered:
                return
            with suppress(ClientDisconnected):
                if open_socket:
                    await send({"type": "websocket.close", "code": CLOSE_CODE})
                    return
                response = JSONResponse({"error": {"message": "internal error"}}, 500)
                if scope["type"] == "websocket":
                    await WebSocket(scope, receive, send).send_denial_response(response)
                else:
                    await response(scope, receive, send)
