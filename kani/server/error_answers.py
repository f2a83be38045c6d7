"""HTTP errors outside any route, in the JSON shape of the protocol that owns the path."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
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
