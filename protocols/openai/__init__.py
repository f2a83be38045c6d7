"""OpenAI's audio API: speech, transcriptions and Realtime.

``speech`` makes speech of whole texts, ``transcription`` text of recordings, ``realtime`` serves the
WebSocket; ``lists`` names models and voices, ``errors`` holds the answers to invalid requests.
"""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute

from protocols.openai import realtime
from protocols.openai.calls import call_group
from protocols.openai.errors import error_body
from protocols.openai.lists import list_paths, list_routes
from protocols.openai.realtime import EphemeralKeys, realtime_routes
from protocols.openai.settings import OpenAISettings
from protocols.openai.speech import speech_routes
from protocols.openai.transcription import longest_bodies, transcription_routes
from protocols.shared.protocol import Context, Protocol, Refusal

__all__ = ["OpenAISettings", "protocol"]

PREFIXES = ("/v1/audio/", "/v1/realtime", "/dev/")
"""Prefixes of the protocol's paths, those that are not served included."""


def protocol(settings: OpenAISettings) -> Protocol:
    """Return the protocol."""
    keys = EphemeralKeys()

    def routes(context: Context) -> list[BaseRoute]:
        service = context.service
        return [
            *speech_routes(service, settings),
            *list_routes(service, settings),
            *transcription_routes(service, settings),
            *realtime_routes(service, settings, keys),
        ]

    return Protocol(
        routes,
        paths=list_paths(settings),
        refusals=dict.fromkeys(PREFIXES, _refusal_body),
        max_message={realtime.PATH: realtime.MAX_MESSAGE_BYTES},
        temporary_keys={realtime.PATH: keys.is_valid},
        max_body=longest_bodies(settings),
        calls=lambda: call_group(settings),
    )


def _refusal_body(refusal: Refusal) -> dict[str, Any]:
    missing = refusal.call and refusal.status in (404, 405)
    reason = f"{refusal.call} is not served here" if missing else refusal.reason
    return error_body(refusal.status, reason)
