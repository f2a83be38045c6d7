"""OpenAI's audio API, the Realtime WebSocket: WS /v1/realtime."""

from __future__ import annotations

from starlette.routing import BaseRoute

from protocols.openai.settings import OpenAISettings
from speech.service import SpeechService


def realtime_routes(service: SpeechService, settings: OpenAISettings) -> list[BaseRoute]:
    """Return the routes of the Realtime WebSocket."""
    return []
