"""Routes of ElevenLabs' two WebSockets."""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.errors import error_response
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.websocket.multi import MultiContextConnection, SingleContextConnection
from kani.protocols.elevenlabs.websocket.query import parse_query

PREFIX = "/v1/text-to-speech/"
"""Prefix of both paths. Clients may send the API key in their first message."""


def routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """Return the routes of ``stream-input`` and ``multi-stream-input``."""

    def route(name: str, kind: type[SingleContextConnection | MultiContextConnection]) -> WebSocketRoute:
        async def serve(websocket: WebSocket) -> None:
            try:
                query = parse_query(websocket.query_params, service)
            except InvalidRequest as error:
                await websocket.send_denial_response(error_response(error))
                return
            await websocket.accept()
            await kind(websocket, service, settings, query).run()

        return WebSocketRoute(f"{PREFIX}{{voice_id}}/{name}", serve, name=name)

    return [
        route("stream-input", SingleContextConnection),
        route("multi-stream-input", MultiContextConnection),
    ]
