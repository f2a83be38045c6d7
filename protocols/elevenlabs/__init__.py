"""ElevenLabs' protocol: speech by HTTP and by WebSocket, and the lists that its clients look into.

``http`` speaks whole texts, ``http_lists`` tells of voices and models, ``http_voices`` makes and deletes
voices; ``formats``, ``voice_ids``, ``voice_settings``, ``body``, ``voice_form`` and ``voice_recordings`` read
what clients ask for, ``errors`` tells them what is wrong; ``ws`` speaks texts as they are written. ``relay``
is the protocol of a server that stood between an app and ElevenLabs.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from protocols.elevenlabs.errors import error_body
from protocols.elevenlabs.http.convert import speech_routes
from protocols.elevenlabs.http.lists import list_routes
from protocols.elevenlabs.http.voices import voice_routes
from protocols.elevenlabs.relay import connection
from protocols.elevenlabs.relay.settings import RelaySettings, RelayState
from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.elevenlabs.websocket import routes as ws
from speech.service import SpeechService

__all__ = ["PREFIXES", "ElevenLabsSettings", "RelaySettings", "RelayState", "error_body", "routes"]

PREFIXES = ("/v1/", "/v2/")
"""Prefixes of the protocol's HTTP paths, those that are not served included."""


def routes(
    service: SpeechService, settings: ElevenLabsSettings, relayed: RelaySettings, state: RelayState
) -> list[BaseRoute]:
    """The routes of the protocol and of the relay, spoken by ``service``; ``state`` is told who is there."""
    return [
        *speech_routes(service, settings),
        *list_routes(service, settings),
        *voice_routes(service, settings),
        *ws.routes(service, settings),
        *connection.routes(service, settings, relayed, state),
    ]
