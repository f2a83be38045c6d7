"""Endpoints and responses of the protocol's HTTP calls."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kani.core.errors import SpeechError
from kani.protocols.elevenlabs.errors import Unprocessable, error_response

TASK_NAME = "elevenlabs request"

Handler = Callable[[Request], Awaitable[Response]]


def endpoint(handler: Handler) -> Handler:
    """Wrap a handler so that its errors become a status and a ``detail``."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except Unprocessable as error:
            return json_response({"detail": error.errors}, 422)
        except SpeechError as error:
            return error_response(error)

    return handle


def json_response(content: Any, status: int = 200) -> Response:
    """Return JSON in ASCII: an unpaired surrogate in a client's text comes back as the same escape."""
    return Response(json.dumps(content), status, {"cache-control": "no-cache"}, "application/json")
