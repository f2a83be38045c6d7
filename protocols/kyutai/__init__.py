"""Kyutai's protocol, that of moshi-server: speech out, speech in, and what stands around them.

``messages`` is the wire format without a socket; ``speech_out`` and ``speech_in`` are the WebSockets,
``http_out`` and ``http_in`` their doors for whole texts and recordings, ``infos`` tells who is here.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from protocols.kyutai.http_in import http_in_routes
from protocols.kyutai.http_out import SPEAKING, http_out_routes
from protocols.kyutai.meter import Meter
from protocols.kyutai.server_info import Channels, info_routes
from protocols.kyutai.speech_in import listen
from protocols.kyutai.speech_out import speak
from speech.service import SpeechService

__all__ = ["LISTENING", "SPEAKING", "KyutaiSettings", "routes"]

LISTENING = "/api/asr-streaming"


@dataclass(frozen=True, slots=True)
class KyutaiSettings:
    """idle_s: seconds that a client may wait with its text; version: of this server; max_body: bytes."""

    idle_s: float
    version: str
    max_body: int


def routes(service: SpeechService, settings: KyutaiSettings, meter: Meter) -> list[BaseRoute]:
    """The protocol's routes."""
    channels = Channels()

    async def speaking(websocket: WebSocket) -> None:
        with channels.speaks():
            await speak(websocket, service, meter, settings.idle_s)

    async def listening(websocket: WebSocket) -> None:
        with channels.listens():
            await listen(websocket, service, meter)

    async def no_upgrade(request: Request) -> Response:
        return PlainTextResponse("Connection header did not include 'upgrade'", 400)

    return [
        *(WebSocketRoute(path, speaking) for path in SPEAKING),
        WebSocketRoute(LISTENING, listening),
        *http_out_routes(service),
        *http_in_routes(service, settings.max_body, meter),
        *(Route(path, no_upgrade, methods=["GET"]) for path in (*SPEAKING, LISTENING)),
        *info_routes(service, settings.version, channels),
    ]
