"""Lists of models and voices as OpenAI's clients read them."""

from __future__ import annotations

from starlette.routing import BaseRoute

from protocols.openai.settings import OpenAISettings
from speech.service import SpeechService


def list_routes(service: SpeechService, settings: OpenAISettings) -> list[BaseRoute]:
    """Return the routes of the lists."""
    return []
