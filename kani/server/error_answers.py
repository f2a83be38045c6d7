"""HTTP errors outside any route, in the JSON shape of the protocol that owns the path."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from kani.protocols.shared.protocol import Refusal, RefusalBody
from kani.server.access import refusal_body


class ErrorAnswers:
    """Answers what no route answers; ``bodies``: JSON bodies by path prefix."""

    def __init__(self, bodies: Mapping[str, RefusalBody]) -> None:
        self._bodies = bodies

    async def http_error(self, request: Request, error: Exception) -> Response:
        """Answer an HTTPException: an unknown path, a wrong method, a body that is too large."""
        assert isinstance(error, HTTPException)
        path = request.url.path
        refusal = Refusal(error.status_code, error.detail, f"{request.method} {path}")
        return JSONResponse(refusal_body(self._bodies, path)(refusal), error.status_code, error.headers)

    async def client_disconnected(self, request: Request, error: Exception) -> Response:
        """End a request when its client leaves before the body is complete; the answer is never read."""
        return Response(status_code=400)

    async def unknown_websocket(self, websocket: WebSocket) -> None:
        """Refuse a handshake on a path without a protocol."""
        path = websocket.url.path
        refusal = Refusal(404, f"no protocol on {path}; try /", f"WebSocket {path}")
        await websocket.send_denial_response(JSONResponse(refusal_body(self._bodies, path)(refusal), 404))
