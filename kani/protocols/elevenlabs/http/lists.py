"""Read-only calls: voices, models, and the account of a local server, which costs nothing."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.service import SpeechService
from kani.core.voices.store import MAX_VOICES
from kani.protocols.elevenlabs.errors import endpoint, json_response
from kani.protocols.elevenlabs.http.voices_list import describe_voice_id, describe_voices, search_voices
from kani.protocols.elevenlabs.models import list_models
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.elevenlabs.voice_settings import DEFAULT_SETTINGS

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


def list_routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:

    async def voices(request: Request) -> Response:
        base_url = _base_url(request)
        listed = await asyncio.to_thread(service.catalogue.list)
        return json_response({"voices": await asyncio.to_thread(describe_voices, service, listed, base_url)})

    async def search(request: Request) -> Response:
        base_url = _base_url(request)
        listed = await asyncio.to_thread(service.catalogue.list)
        page, total, next_page_token = search_voices(listed, dict(request.query_params))
        return json_response(
            {
                "voices": await asyncio.to_thread(describe_voices, service, page, base_url),
                "has_more": next_page_token is not None,
                "total_count": total,
                "next_page_token": next_page_token,
            }
        )

    async def voice(request: Request) -> Response:
        voice_id, base_url = request.path_params["voice_id"], _base_url(request)
        return json_response(
            await asyncio.to_thread(describe_voice_id, service, voice_id, settings, base_url)
        )

    async def voice_settings(request: Request) -> Response:
        await asyncio.to_thread(resolve_voice, service, request.path_params["voice_id"], settings)
        return json_response(DEFAULT_SETTINGS)

    async def default_settings(request: Request) -> Response:
        return json_response(DEFAULT_SETTINGS)

    async def models(request: Request) -> Response:
        return json_response(list_models(service, settings.max_text))

    async def user(request: Request) -> Response:
        return json_response(USER | {"subscription": await _subscription(service)})

    async def subscription(request: Request) -> Response:
        return json_response(await _subscription(service))

    calls = {
        "/v1/voices": voices,
        "/v2/voices": search,
        "/v1/voices/settings/default": default_settings,
        "/v1/voices/{voice_id}": voice,
        "/v1/voices/{voice_id}/settings": voice_settings,
        "/v1/models": models,
        "/v1/user": user,
        "/v1/user/subscription": subscription,
    }
    return [Route(path, endpoint(handler), methods=["GET"]) for path, handler in calls.items()]


async def _subscription(service: SpeechService) -> dict[str, Any]:
    """Return the account with its stored voices and whether an engine can clone voices."""
    stored = await asyncio.to_thread(service.store.list_reachable)
    can_clone = any(engine.cloning != "none" for engine in service.engines)
    return SUBSCRIPTION | {"voice_slots_used": len(stored), "can_use_instant_voice_cloning": can_clone}


def _base_url(request: Request) -> str:
    """Return this server's URL as the client sees it: scheme behind a proxy, and ``Host``."""
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    scheme = "https" if forwarded.partition(",")[0].strip().lower() == "https" else "http"
    return f"{scheme}://{request.headers.get('host', 'localhost')}"
