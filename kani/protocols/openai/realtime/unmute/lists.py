"""The HTTP calls of Unmute's web page and load test: what is up, and the voices to choose from."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from kani.core.service import SpeechService
from kani.core.types import Voice
from kani.protocols.openai.lists import OpenAIRoute
from kani.protocols.openai.realtime.unmute.handshake import is_on_port
from kani.protocols.openai.realtime.unmute.instructions import CHARACTERS
from kani.protocols.shared.calls.call import Call, json_answer
from kani.protocols.shared.calls.schemas import fields, flag, items, nullable, text
from kani_text.languages import english_name, primary

HEALTH_PATH = "/v1/health"
VOICES_PATH = "/v1/voices"

OTHER_LANGUAGES = "fr/en"
"""Language of characters that speak neither English nor French: the page knows no other, and begins with one
that speaks English."""


class _VoicesRoute(OpenAIRoute):
    """The list on one port, where ElevenLabs has its own too."""

    port: int | None = None

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches(scope) if is_on_port(scope, self.port) else (Match.NONE, {})


def list_routes(service: SpeechService, port: int | None) -> list[BaseRoute]:
    """Return the routes; port: the one that has Unmute's list of voices, None: not open."""

    async def health(request: Request) -> Response:
        return JSONResponse(health_fields(service), headers={"cache-control": "no-store"})

    async def voices(request: Request) -> Response:
        listed = await asyncio.to_thread(service.catalogue.list)
        return JSONResponse(describe_voices(listed))

    listing = _VoicesRoute(VOICES_PATH, voices, methods=["GET"])
    listing.port = port
    return [Route(HEALTH_PATH, health, methods=["GET"]), listing]


def health_fields(service: SpeechService) -> dict[str, bool]:
    """Return what is up; the page lets its user talk if ``ok``.

    A voice takes its speaker's consent here, which Unmute's upload does not ask for: so it is not offered.
    """
    recognizer = service.recognition.recognizer
    up = {
        "tts_up": service.ready and bool(service.engines),
        "stt_up": service.recognition.hears_live and not (recognizer and recognizer.info.unavailable_reason),
        "llm_up": service.chat_model is not None,
    }
    return up | {"voice_cloning_up": False, "ok": all(up.values())}


def describe_voices(voices: Sequence[Voice]) -> list[dict[str, Any]]:
    """Return the voices as characters, with the language that each is to speak."""
    languages = {primary(voice.language) for voice in voices}
    other = OTHER_LANGUAGES if "en" in languages else None
    return [_describe(voice, other) for voice in voices]


def _describe(voice: Voice, other: str | None) -> dict[str, Any]:
    language = primary(voice.language)
    name = english_name(language)
    if language in ("en", "fr"):
        instructions: dict[str, Any] | None = {"type": "smalltalk", "language": language}
    elif name:
        about = f"{CHARACTERS['smalltalk']} Speak {name}."
        instructions = {"type": "constant", "text": about, "language": other}
    else:
        instructions = None
    return {
        "name": voice.name,
        "good": True,
        "instructions": instructions,
        "source": {
            "source_type": "file",
            "path_on_server": voice.id,
            "description": f"{name or 'Any language'}, {voice.engine or 'this server'}",
            "description_link": None,
        },
    }


def calls() -> list[Call]:
    up = ("tts_up", "stt_up", "llm_up", "voice_cloning_up", "ok")
    source = fields("", ["source_type", "path_on_server"], source_type=text(), path_on_server=text())
    character = nullable(fields("", ["type"], type=text(), text=text(), language=nullable(text())))
    voice = fields("", None, name=text(), good=flag(), instructions=character, source=source)
    return [
        Call(
            f"GET {HEALTH_PATH}",
            "Show what of a conversation is up",
            json_answer("What is up.", fields("", up, **dict.fromkeys(up, flag()))),
            about="For Unmute's page, which lets its user talk where ok is true.",
        ),
        Call(
            f"GET {VOICES_PATH}",
            "List the voices for Unmute's page",
            json_answer("The voices.", items(voice)),
            about="On the port of KANI_REST_PORT, for requests without the header xi-api-key.",
        ),
    ]
