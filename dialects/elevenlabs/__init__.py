"""ElevenLabs' protocol: speech by HTTP and by WebSocket, and the lists that its clients look into.

``http`` speaks whole texts, ``http_lists`` tells of voices and models; ``formats``, ``voice_ids``,
``voice_settings`` and ``body`` read what clients ask for, ``errors`` tells them what is wrong.
"""

from __future__ import annotations

from starlette.routing import BaseRoute

from dialects.elevenlabs.http import speech_routes
from dialects.elevenlabs.http_lists import list_routes
from dialects.elevenlabs.settings import ElevenLabsSettings
from speech.service import SpeechService

__all__ = ["ElevenLabsSettings", "routes"]


def routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """The protocol's routes, spoken by ``service``."""
    return [*speech_routes(service, settings), *list_routes(service, settings)]
