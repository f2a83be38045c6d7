"""Endpoints and responses of the protocol's HTTP calls."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from kani.core.errors import SpeechError
from kani.protocols.elevenlabs.errors import Unprocessable, error_response
from kani.protocols.shared.errors import Handler, answering

TASK_NAME = "elevenlabs request"


def endpoint(handler: Handler) -> Handler:
    """Wrap a handler so that its errors become a status and a ``detail``."""
    return answering(handler, _refuse, Unprocessable, SpeechError)


def _refuse(error: Unprocessable | SpeechError) -> Response:
    if isinstance(error, Unprocessable):
        return json_response({"detail": error.errors}, 422)
    return error_response(error)


def json_response(content: Any, status: int = 200) -> Response:
    """Return JSON in ASCII: an unpaired surrogate in a client's text comes back as the same escape."""
    return Response(json.dumps(content), status, {"cache-control": "no-cache"}, "application/json")
