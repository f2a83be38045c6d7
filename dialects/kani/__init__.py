"""The Kani JSON protocol: a WebSocket on ``/`` and the original's two REST calls.

``messages`` is the wire format without a socket, ``websocket`` and ``http`` the two doors.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from dialects.kani.http import http_routes
from dialects.kani.websocket import websocket_routes
from speech.service import SpeechService


def routes(service: SpeechService) -> list[BaseRoute]:
    """The protocol's routes, spoken by ``service``."""
    return [*websocket_routes(service), *http_routes(service)]
