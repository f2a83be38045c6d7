"""OpenAI's audio API, text of recordings: POST /v1/audio/transcriptions and /v1/audio/translations."""

from __future__ import annotations

from starlette.routing import BaseRoute

from protocols.openai.settings import OpenAISettings
from speech.service import SpeechService


def transcription_routes(service: SpeechService, settings: OpenAISettings) -> list[BaseRoute]:
    """Return the routes of text of recordings."""
    return []
