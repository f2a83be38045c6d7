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

from protocols.kyutai.http_in import recording_routes
from protocols.kyutai.http_out import SPEECH_PATHS, speech_routes
from protocols.kyutai.metrics import KyutaiMetrics
from protocols.kyutai.server_info import Channels, info_routes
from protocols.kyutai.speech_in import serve_recognition
from protocols.kyutai.speech_out import serve_speech
from speech.service import SpeechService

__all__ = ["RECOGNITION_PATH", "SPEECH_PATHS", "KyutaiSettings", "routes"]

RECOGNITION_PATH = "/api/asr-streaming"


@dataclass(frozen=True, slots=True)
class KyutaiSettings:
    """idle_s: seconds that a client may wait with its text; version: of this server; max_body: bytes."""

    idle_s: float
    version: str
    max_body: int


def routes(service: SpeechService, settings: KyutaiSettings, metrics: KyutaiMetrics) -> list[BaseRoute]:
    """The protocol's routes."""
    channels = Channels()

    async def speaking(websocket: WebSocket) -> None:
        with channels.open_speech():
            await serve_speech(websocket, service, metrics, settings.idle_s)

    async def listening(websocket: WebSocket) -> None:
        with channels.open_recognition():
            await serve_recognition(websocket, service, metrics)

    async def no_upgrade(request: Request) -> Response:
        return PlainTextResponse("Connection header did not include 'upgrade'", 400)

    return [
        *(WebSocketRoute(path, speaking) for path in SPEECH_PATHS),
        WebSocketRoute(RECOGNITION_PATH, listening),
        *speech_routes(service),
        *recording_routes(service, settings.max_body, metrics),
        *(Route(path, no_upgrade, methods=["GET"]) for path in (*SPEECH_PATHS, RECOGNITION_PATH)),
        *info_routes(service, settings.version, channels),
    ]
