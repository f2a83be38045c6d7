"""OpenAI's audio API, speech of whole texts: POST /v1/audio/speech."""

from __future__ import annotations

from starlette.routing import BaseRoute

from protocols.openai.settings import OpenAISettings
from speech.service import SpeechService


def speech_routes(service: SpeechService, settings: OpenAISettings) -> list[BaseRoute]:
    """Return the routes of speech of whole texts."""
    return []
