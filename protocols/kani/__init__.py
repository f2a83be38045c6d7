"""The Kani JSON protocol: a WebSocket on ``/`` and the original's two REST calls.

``messages`` is the wire format without a socket, ``websocket`` and ``http`` the two doors.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from protocols.kani.http import http_routes
from protocols.kani.request import MAX_WHOLE_ANSWER_BYTES
from protocols.kani.websocket import websocket_routes
from protocols.shared.memory_budget import MemoryBudget
from speech.service import SpeechService


def routes(service: SpeechService) -> list[BaseRoute]:
    """The protocol's routes, spoken by ``service``."""
    whole_answers = MemoryBudget(MAX_WHOLE_ANSWER_BYTES, alternative="use tts_stream_request or /stream-tts")
    return [*websocket_routes(service, whole_answers), *http_routes(service, whole_answers)]
