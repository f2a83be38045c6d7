"""Kyutai's protocol, that of moshi-server: speech synthesis and recognition.

``messages`` is the wire format without a socket; ``speech_out`` and ``speech_in`` serve the WebSockets,
``http_out`` and ``http_in`` whole texts and recordings by HTTP, ``server_info`` the server's own data.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from kani.protocols.kyutai.calls import call_group
from kani.protocols.kyutai.http_in import recording_routes
from kani.protocols.kyutai.http_out import SPEECH_PATHS, speech_routes
from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.protocols.kyutai.server_info import Channels, info_routes
from kani.protocols.kyutai.speech_in import serve_recognition
from kani.protocols.kyutai.speech_out import serve_speech
from kani.protocols.shared.protocol import CompatPort, Context, PathClass, Protocol

__all__ = ["KyutaiSettings", "protocol"]

RECOGNITION_PATH = "/api/asr-streaming"
MAX_MESSAGE_BYTES = 64 << 20
"""Limit of moshi-server on a message of its WebSockets."""


@dataclass(frozen=True, slots=True)
class KyutaiSettings:
    """Settings of Kyutai's protocol."""

    idle_s: float  # longest wait of an open session for its client's text
    version: str  # of this server
    max_body: int  # bytes of an HTTP body


def protocol(settings: KyutaiSettings) -> Protocol:
    """Return the protocol, with moshi-server's ports, keys and limit on messages."""
    websockets = (*SPEECH_PATHS, RECOGNITION_PATH)
    return Protocol(
        lambda context: _routes(context, settings),
        ports=(
            CompatPort("kyutai_port", "ws", "Kyutai"),
            CompatPort("kyutai_voice_port", "http", "Kyutai voice cloning"),
        ),
        paths={
            **dict.fromkeys(("/api/build_info", "/api/modules_info"), PathClass.PUBLIC),
            **dict.fromkeys((*websockets, "/api/tts"), PathClass.REQUIRES_KEY),
            "/api/voice": PathClass.NO_KEY_WITH_PUBLIC_TOKEN,
        },
        max_message=dict.fromkeys(websockets, MAX_MESSAGE_BYTES),
        calls=call_group,
    )


def _routes(context: Context, settings: KyutaiSettings) -> list[BaseRoute]:
    service, metrics, channels = context.service, KyutaiMetrics(context.registry), Channels()

    async def speech(websocket: WebSocket) -> None:
        with channels.open_speech():
            await serve_speech(websocket, service, metrics, settings.idle_s)

    async def recognition(websocket: WebSocket) -> None:
        with channels.open_recognition():
            await serve_recognition(websocket, service, metrics)

    async def no_upgrade(request: Request) -> Response:
        return PlainTextResponse("Connection header did not include 'upgrade'", 400)

    return [
        *(WebSocketRoute(path, speech) for path in SPEECH_PATHS),
        WebSocketRoute(RECOGNITION_PATH, recognition),
        *speech_routes(service),
        *recording_routes(service, settings.max_body, metrics),
        *(Route(path, no_upgrade, methods=["GET"]) for path in (*SPEECH_PATHS, RECOGNITION_PATH)),
        *info_routes(service, settings.version, channels),
    ]
