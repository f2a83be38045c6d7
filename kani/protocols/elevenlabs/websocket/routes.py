"""Routes of ElevenLabs' WebSockets."""

from __future__ import annotations

from dataclasses import replace

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.errors import error_response
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.websocket.connection import BaseConnection
from kani.protocols.elevenlabs.websocket.dialogue import DialogueConnection, SingleDialogueConnection
from kani.protocols.elevenlabs.websocket.multi import MultiContextConnection, SingleContextConnection
from kani.protocols.elevenlabs.websocket.query import MAX_INACTIVITY_S, parse_query
from kani.protocols.shared.connection import Client

PREFIX = "/v1/text-to-speech/"
DIALOGUE_PREFIX = "/v1/text-to-dialogue/"
"""Prefixes of the paths. Clients may send the API key in their first message."""


def routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """Return the routes of ``stream-input`` and ``multi-stream-input``, of speech and of dialogues."""

    def route(path: str, kind: type[BaseConnection], *, dialogue: bool = False) -> WebSocketRoute:
        async def serve(websocket: WebSocket) -> None:
            try:
                query = parse_query(websocket.query_params, service)
            except InvalidRequest as error:
                await websocket.send_denial_response(error_response(error))
                return
            if dialogue:
                # Clients keep each context alive, but not a connection without one.
                query = replace(query, inactivity_timeout_s=MAX_INACTIVITY_S)
            await websocket.accept()
            await kind(Client(websocket), service, settings, query).run()

        return WebSocketRoute(path, serve)

    return [
        route(f"{PREFIX}{{voice_id}}/stream-input", SingleContextConnection),
        route(f"{PREFIX}{{voice_id}}/multi-stream-input", MultiContextConnection),
        route(f"{DIALOGUE_PREFIX}stream-input", SingleDialogueConnection, dialogue=True),
        route(f"{DIALOGUE_PREFIX}multi-stream-input", DialogueConnection, dialogue=True),
    ]
