"""OpenAI's audio API, speech of whole texts: the audio, and the times of its words."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from protocols.openai.settings import OpenAISettings
from protocols.openai.speech.captions import caption_routes
from protocols.openai.speech.create import create_endpoint
from speech.service import SpeechService


def speech_routes(service: SpeechService, settings: OpenAISettings) -> list[BaseRoute]:
    """Return the routes of speech of whole texts."""
    return [
        Route("/v1/audio/speech", create_endpoint(service, settings), methods=["POST"]),
        *caption_routes(service, settings),
    ]
