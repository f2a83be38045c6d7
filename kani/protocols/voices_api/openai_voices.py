"""OpenAI's own way to make voices: a recorded consent first, then a voice that names it.

Its forms are known by ``audio_sample``; its consents have a path of their own.
"""

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.errors import UnknownVoice
from kani.core.service import SpeechService
from kani.core.voices.store import Consent, ConsentStore, NewVoice, StoredVoice
from kani.protocols.shared.errors import RequestError
from kani.protocols.voices_api.forms import Label, endpoint, read_form, read_json, recording_of, text_fields

PATH = "/v1/audio/voice_consents"
ORIGIN = "openai"
DEFAULT_PAGE, MAX_PAGE = 20, 100
"""Consents in one list."""


def is_openai_form(form: FormData) -> bool:
    return "audio_sample" in form or form.get("type") == "prompt"


async def store_voice(service: SpeechService, consents: ConsentStore, form: FormData) -> StoredVoice:
    """Store the voice of an OpenAI form. Raises RequestError and InvalidRequest.

    Spaces in its name become underscores, since a name is part of the voice's id.
    """
    if text_fields(form).get("type", "audio_sample") != "audio_sample":
        raise RequestError(400, "type: only voices of an audio_sample can be made here", "type")
    audio = await recording_of(form, "audio_sample")
    fields = {"consent": ""} | text_fields(form, needed=("name",))
    try:
        consent = await asyncio.to_thread(consents.get, fields["consent"])
        spoken = await asyncio.to_thread(consents.recording, consent.id)
    except UnknownVoice as error:
        reason = f"consent: no consent has the id {fields['consent'][:80]!r}; POST {PATH} makes one"
        raise RequestError(400, reason, "consent") from error
    return await service.cloning.add(
        NewVoice(
            re.sub(r"\s+", "_", fields["name"].strip()),
            audio,
            origin=ORIGIN,
            consent_recording=spoken,
            language=consent.language,
        )
    )


def describe_voice(voice: StoredVoice) -> dict[str, Any]:
    return {
        "id": voice.id,
        "object": "audio.voice",
        "name": voice.name,
        "created_at": int(datetime.fromisoformat(voice.consent_at).timestamp()),
        "type": "audio_sample",
    }


def consent_routes(consents: ConsentStore) -> list[BaseRoute]:
    """Return the routes of the consents; errors as those of the voices."""

    async def created(request: Request) -> Response:
        form = await read_form(request, "name, language and recording (a file)")
        try:
            fields = text_fields(form, needed=("name", "language"))
            recording = await recording_of(form, "recording")
        finally:
            await form.close()
        name, language = fields["name"], fields["language"]
        consent = await run_in_pool(RECORDING_POOL, consents.add, name, language, recording)
        return JSONResponse(_describe(consent))

    async def listed(request: Request) -> Response:
        limit, after = _page(request.query_params)
        found = await asyncio.to_thread(consents.list)
        at = next((number + 1 for number, one in enumerate(found) if one.id == after), 0)
        page = found[at : at + limit]
        return JSONResponse(
            {
                "object": "list",
                "data": [_describe(consent) for consent in page],
                "first_id": page[0].id if page else None,
                "last_id": page[-1].id if page else None,
                "has_more": at + limit < len(found),
            }
        )

    async def shown(request: Request) -> Response:
        return JSONResponse(_describe(await asyncio.to_thread(consents.get, request.path_params["consent"])))

    async def renamed(request: Request) -> Response:
        name = (await read_json(request, Label)).name
        consent = await asyncio.to_thread(consents.rename, request.path_params["consent"], name)
        return JSONResponse(_describe(consent))

    async def deleted(request: Request) -> Response:
        consent_id = request.path_params["consent"]
        await asyncio.to_thread(consents.delete, consent_id)
        return JSONResponse({"id": consent_id, "object": "audio.voice_consent", "deleted": True})

    calls = [
        ("POST", "", created),
        ("GET", "", listed),
        ("GET", "/{consent}", shown),
        ("POST", "/{consent}", renamed),
        ("DELETE", "/{consent}", deleted),
    ]
    return [
        Route(f"{PATH}{path}", endpoint(_unknown_consent(answer)), methods=[method])
        for method, path, answer in calls
    ]


def _unknown_consent(answer: Any) -> Any:
    """Wrap an endpoint so that an unknown id is an error of the consent."""

    async def handle(request: Request) -> Response:
        try:
            response: Response = await answer(request)
        except UnknownVoice as error:
            raise RequestError(404, f"no consent has the id {error.voice[:80]!r}", "consent") from error
        return response

    return handle


def _page(parameters: Mapping[str, str]) -> tuple[int, str]:
    """Return how many consents a list has, and the id that it begins after."""
    limit = parameters.get("limit", str(DEFAULT_PAGE))
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MAX_PAGE):
        raise RequestError(400, f"limit: must be between 1 and {MAX_PAGE}", "limit")
    return int(limit), parameters.get("after", "")


def _describe(consent: Consent) -> dict[str, Any]:
    return {
        "id": consent.id,
        "object": "audio.voice_consent",
        "name": consent.name,
        "language": consent.language,
        "created_at": consent.created_at,
    }
