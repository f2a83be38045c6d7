"""Read-only calls: voices, models, and the account of a local server, which costs nothing."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.audio.pcm import MEDIA_TYPES, extension_of
from kani.core.errors import InvalidRequest, UnknownVoice
from kani.core.request import Range
from kani.core.service import SpeechService
from kani.core.types import Voice
from kani.core.voices.cloning import CloningStatus
from kani.core.voices.store import CUSTOM_PREFIX, MAX_VOICES, StoredVoice
from kani.protocols.elevenlabs.errors import endpoint, json_answer
from kani.protocols.elevenlabs.models import DEFAULT_MODEL, MODELS, list_models
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import PREMADE_VOICES, PremadeVoice, resolve_voice
from kani.protocols.elevenlabs.voice_settings import DEFAULT_SETTINGS
from kani.protocols.shared.connection import own_url
from kani_text.languages import english_name, primary

DEFAULT_PAGE_SIZE = 10
PAGE_SIZE_RANGE = Range(1, 100)
MAX_SEARCH_LENGTH = 200

UNLIMITED_CHARACTERS = 1_000_000_000
"""Quota of the account, which is never charged. Some clients stop at a quota of 0."""

SUBSCRIPTION: dict[str, Any] = {
    "tier": "local",
    "character_count": 0,
    "character_limit": UNLIMITED_CHARACTERS,
    "max_character_limit_extension": None,
    "max_credit_limit_extension": 0,
    "can_extend_character_limit": False,
    "allowed_to_extend_character_limit": False,
    "next_character_count_reset_unix": None,
    "professional_voice_slots_used": 0,
    "professional_voice_slots_used_in_workspace": 0,
    "voice_limit": MAX_VOICES,
    "max_voice_add_edits": None,
    "voice_add_edit_counter": 0,
    "professional_voice_limit": 0,
    "can_extend_voice_limit": False,
    "can_use_professional_voice_cloning": False,
    "currency": None,
    "current_overage": {"amount": "0", "currency": "usd"},
    "status": "active",
    "billing_period": None,
    "character_refresh_period": None,
    "next_invoice": None,
    "open_invoices": [],
    "has_open_invoices": False,
}
USER: dict[str, Any] = {
    "user_id": "local",
    "workspace_id": "local",
    "is_new_user": False,
    "can_use_delayed_payment_methods": False,
    "is_onboarding_completed": True,
    "is_onboarding_checklist_completed": True,
    "first_name": None,
    "xi_api_key": None,
    "created_at": 0,
    "seat_type": "workspace_admin",
}

NO_HISTORY: dict[str, Any] = {
    "history": [],
    "last_history_item_id": None,
    "has_more": False,
    "scanned_until": None,
}
"""Nothing that was spoken is kept. SillyTavern looks into the history before each speech."""


def list_routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:

    async def voices(request: Request) -> Response:
        base_url = own_url(request)
        listed = await asyncio.to_thread(service.catalogue.list)
        return json_answer({"voices": await asyncio.to_thread(describe_voices, service, listed, base_url)})

    async def search(request: Request) -> Response:
        base_url = own_url(request)
        listed = await asyncio.to_thread(service.catalogue.list)
        page, total, next_page_token = search_voices(listed, dict(request.query_params))
        return json_answer(
            {
                "voices": await asyncio.to_thread(describe_voices, service, page, base_url),
                "has_more": next_page_token is not None,
                "total_count": total,
                "next_page_token": next_page_token,
            }
        )

    async def voice(request: Request) -> Response:
        voice_id, base_url = request.path_params["voice_id"], own_url(request)
        return json_answer(await asyncio.to_thread(describe_voice_id, service, voice_id, settings, base_url))

    async def voice_settings(request: Request) -> Response:
        await asyncio.to_thread(resolve_voice, service, request.path_params["voice_id"], settings)
        return json_answer(DEFAULT_SETTINGS)

    async def default_settings(request: Request) -> Response:
        return json_answer(DEFAULT_SETTINGS)

    async def models(request: Request) -> Response:
        return json_answer(list_models(service, settings.max_text))

    async def user(request: Request) -> Response:
        return json_answer(USER | {"subscription": await _subscription(service)})

    async def subscription(request: Request) -> Response:
        return json_answer(await _subscription(service))

    async def history(request: Request) -> Response:
        return json_answer(NO_HISTORY)

    calls = {
        "/v1/voices": voices,
        "/v2/voices": search,
        "/v1/voices/settings/default": default_settings,
        "/v1/voices/{voice_id}": voice,
        "/v1/voices/{voice_id}/settings": voice_settings,
        "/v1/models": models,
        "/v1/user": user,
        "/v1/user/subscription": subscription,
        "/v1/history": history,
    }
    return [Route(path, endpoint(handler), methods=["GET"]) for path, handler in calls.items()]


async def _subscription(service: SpeechService) -> dict[str, Any]:
    """Return the account with its stored voices and whether an engine can clone voices."""
    stored = await asyncio.to_thread(service.store.list_reachable)
    can_clone = any(engine.cloning.kind != "none" for engine in service.engines)
    return SUBSCRIPTION | {"voice_slots_used": len(stored), "can_use_instant_voice_cloning": can_clone}


def describe_voices(service: SpeechService, voices: Sequence[Voice], base_url: str) -> list[dict[str, Any]]:
    """Describe voices of the catalogue, without stored ones that are gone or away. Reads files."""
    stored = {voice.id: voice for voice in service.store.list_reachable()}
    return [
        describe_voice(voice, base_url, stored.get(voice.id))
        for voice in voices
        if voice.id in stored or not voice.id.startswith(CUSTOM_PREFIX)
    ]


def describe_voice(voice: Voice, base_url: str, stored: StoredVoice | None = None) -> dict[str, Any]:
    """Describe a voice.

    base_url: this server's URL for the client, prefix of the preview; stored: metadata of a stored voice.
    """
    language = english_name(primary(voice.language))
    labels = {"language": primary(voice.language), "gender": voice.gender, "engine": voice.engine}
    preview = f"{base_url}/v1/audio/voices/{quote(voice.id, safe='')}/preview"
    described = {
        "voice_id": voice.id,
        "name": voice.name,
        "category": "cloned" if stored is not None else "premade",
        "labels": {name: value for name, value in labels.items() if value},
        "description": f"{language}, spoken by {voice.engine}" if language else "",
        "preview_url": preview,
        "settings": DEFAULT_SETTINGS,
        "available_for_tiers": [],
        "high_quality_base_model_ids": list(MODELS),
        "verified_languages": [
            {
                "language": primary(voice.language),
                "model_id": DEFAULT_MODEL,
                "accent": None,
                "locale": voice.language,
                "preview_url": preview,
            }
        ]
        if voice.language
        else [],
        "samples": None,
        "fine_tuning": None,
        "sharing": None,
        "safety_control": None,
        "is_owner": stored is not None,
        "is_legacy": False,
    }
    if stored is None:
        return described
    return described | {
        "description": stored.description,
        "created_at_unix": int(datetime.fromisoformat(stored.consent_at).timestamp()),
        "recording_quality_reason": " ".join(stored.advice) or None,
    }


def describe_voice_id(
    service: SpeechService, voice_id: str, settings: ElevenLabsSettings, base_url: str
) -> dict[str, Any]:
    """Describe the voice of any id that requests accept. Reads files. Raises UnknownVoice.

    A stored voice has its recording under ``samples``, the label ``cloning`` and, if an engine approximates
    it, the label ``similarity`` (at most 1).
    """
    resolved = resolve_voice(service, voice_id, settings)
    if resolved is None:
        return _describe_default(voice_id, settings)
    if not resolved.startswith(CUSTOM_PREFIX):
        built_in = (voice for engine in service.engines for voice in engine.voices)
        voice = next((voice for voice in built_in if voice.id == resolved), None)
        if voice is None:
            raise UnknownVoice(voice_id)
        return describe_voice(voice, base_url) | {"voice_id": voice_id}
    stored = service.store.get(resolved)
    voice = service.catalogue.entry(stored)
    described = describe_voice(voice, base_url, stored) | {"voice_id": voice_id}
    described["labels"] |= _cloning_labels(service.cloning.statuses(stored), voice)
    sample = {
        "sample_id": sample_id(stored),
        "file_name": stored.name,
        "mime_type": MEDIA_TYPES[extension_of(service.store.recording(stored))],
        "size_bytes": stored.size,
        "hash": stored.sha256,
        "duration_secs": stored.duration_s,
    }
    return described | {"samples": [sample]}


def sample_id(voice: StoredVoice) -> str:
    return voice.sha256[:20]


def _cloning_labels(statuses: list[CloningStatus], voice: Voice) -> dict[str, str]:
    """Return the kind of cloning and the similarity of the engine that speaks the voice's language."""
    status = next((status for status in statuses if status.engine == voice.engine), None)
    if status is None:
        return {}
    similarity = status.similarity.get(primary(voice.language))
    labels = {"cloning": str(status.cloning)}
    return labels if similarity is None else labels | {"similarity": f"{similarity.now:.2f}"}


def _describe_default(voice_id: str, settings: ElevenLabsSettings) -> dict[str, Any]:
    """Describe an id that means the default voice of each language: a premade one, or ``default``."""
    premade = PREMADE_VOICES.get(settings.own.voices.get(voice_id, voice_id), PremadeVoice("Default", ""))
    described = describe_voice(Voice(voice_id, premade.name, "", "", premade.gender), "")
    description = "The default voice of the text's language."
    return described | {"description": description, "preview_url": None}


def search_voices(voices: Sequence[Voice], query: dict[str, str]) -> tuple[list[Voice], int, str | None]:
    """Search for ``GET /v2/voices``: a page of matching voices, their total, and the next page's token.

    query: search, sort, sort_direction, category, voice_type, page_size (1–100), next_page_token. Raises
    InvalidRequest.
    """
    words = query.get("search", "").strip().casefold()
    if len(words) > MAX_SEARCH_LENGTH:
        raise InvalidRequest("search", f"too long (at most {MAX_SEARCH_LENGTH} characters)")
    found = [voice for voice in voices if _contains(voice, words) and _has_category(voice, query)]
    if query.get("sort") == "name":
        found.sort(key=lambda voice: voice.name.casefold())
    if query.get("sort_direction") == "desc":
        found.reverse()
    size = _whole_number(query, "page_size", DEFAULT_PAGE_SIZE)
    PAGE_SIZE_RANGE.check("page_size", size)
    start = _whole_number(query, "next_page_token", 0)
    end = start + size
    return found[start:end], len(found), str(end) if end < len(found) else None


def _contains(voice: Voice, words: str) -> bool:
    # A stored voice's name has "_" for each run of spaces that its client sent.
    spaced = voice.name.replace("_", " ")
    texts = (
        voice.id,
        voice.name,
        spaced,
        voice.language,
        voice.gender,
        english_name(primary(voice.language)),
    )
    return any(words in text.casefold() for text in texts)


def _has_category(voice: Voice, query: dict[str, str]) -> bool:
    stored = voice.id.startswith(CUSTOM_PREFIX)
    if query.get("category") not in (None, "", "cloned" if stored else "premade"):
        return False
    types = ("personal", "non-default", "workspace") if stored else ("default",)
    return query.get("voice_type") in (None, "", "saved", *types)


def _whole_number(query: dict[str, str], name: str, default: int) -> int:
    digits = query.get(name) or str(default)
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 10):
        raise InvalidRequest(name, "must be a whole number")
    return int(digits)
