"""/v1/audio/voices: lists and previews all voices; stores, plays, renames and deletes clients' voices.

OpenAI's clients use the same paths: ``openai_voices`` answers what only they ask for.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.audio.pcm import MEDIA_TYPES, extension_of
from kani.core.errors import StoreUnavailable, UnknownVoice
from kani.core.service import SpeechService
from kani.core.types import Voice
from kani.core.voices.cloning import CloningStatus
from kani.core.voices.recording_check import reason_of
from kani.core.voices.store import CUSTOM_PREFIX, ConsentStore, NewVoice, StoredVoice
from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.cloning_report import similarity_fields
from kani.protocols.shared.errors import RequestError
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import PathClass, Protocol, is_anonymous, plain_refusal
from kani.protocols.shared.ranges import bytes_answer
from kani.protocols.voices_api.calls import PATH, SPEECH_PATH, call_group
from kani.protocols.voices_api.forms import Renamed, endpoint, read_form, read_json, recording_of, text_fields
from kani.protocols.voices_api.openai_voices import consent_routes, is_openai_form, store_voice
from kani.protocols.voices_api.openai_voices import describe_voice as openai_voice
from kani.protocols.voices_api.preview import PreviewCache, find_voice, preview

PREVIEW_PATH = PATH + "/{voice}/preview"

ORIGIN = "voices"
_SOUND = ("pitch_hz", "pitch_range", "pace", "brightness_db")


def protocol(_: PluginSettings, server: ServerSettings) -> Protocol:
    """Return the protocol; its refusals keep their own shape below the prefix of ElevenLabs' paths."""
    return Protocol(
        lambda context: routes(context.service, context.service.store.consents),
        paths=dict.fromkeys((PATH, SPEECH_PATH, PREVIEW_PATH), PathClass.LIST),
        refusals={PATH: plain_refusal},
        calls=call_group,
    )


def routes(service: SpeechService, consents: ConsentStore) -> list[BaseRoute]:
    """Return the routes.

    Errors are ``{"error": {"message": …, "type": …, "param": …, "code": …}}`` with 400, 404, 409 (the name is
    taken), 413, 503 (too many voices are being added, a newer version of the server has changed the voices,
    their bucket is away, or the recording check is unavailable) or 507 (they could not be read or written).
    """
    previews = PreviewCache()

    async def listed(request: Request) -> Response:
        public_only = is_anonymous(request.scope)
        voices = await asyncio.to_thread(_describe_all, service, public_only=public_only)
        if request.query_params.get("legacy") == "true":
            return JSONResponse({"voices": [voice["id"] for voice in voices]})
        return JSONResponse({"object": "list", "voices": voices})

    async def shown(request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(_describe_one, service, request.path_params["voice"]))

    async def sample(request: Request) -> Response:
        voice = await asyncio.to_thread(service.store.get, request.path_params["voice"])
        recording = await asyncio.to_thread(service.store.recording, voice)
        extension = extension_of(recording)
        headers = {
            "cache-control": "no-store",
            "content-disposition": f"inline; filename*=UTF-8''{quote(voice.name)}.{extension}",
            "x-content-type-options": "nosniff",
        }
        return bytes_answer(request, recording, headers, MEDIA_TYPES[extension])

    async def previewed(request: Request) -> Response:
        return await preview(request, service, previews)

    async def stored(request: Request) -> Response:
        form = await read_form(request, "name, audio (a file) and consent")
        try:
            if is_openai_form(form):
                return JSONResponse(openai_voice(await store_voice(service, consents, form)))
            voice = await _store(service, form)
        finally:
            await form.close()
        return JSONResponse(await asyncio.to_thread(_describe_stored, service, voice), 201)

    async def renamed(request: Request) -> Response:
        new = (await read_json(request, Renamed)).name.strip()
        with _stored(request.path_params["voice"]) as name:
            voice = await service.cloning.rename(name, new)
        return JSONResponse(await asyncio.to_thread(_describe_stored, service, voice))

    async def deleted(request: Request) -> Response:
        with _stored(request.path_params["voice"]) as voice:
            await service.cloning.delete(voice)
        if "application/json" not in request.headers.get("accept", ""):
            return Response(status_code=204)
        # OpenAI's SDKs, which accept nothing but JSON, read an object.
        return JSONResponse({"id": voice, "deleted": True, "object": "audio.voice.deleted"})

    calls = [
        ("GET", "", listed),
        ("POST", "", stored),
        ("GET", "/{voice}", shown),
        ("PATCH", "/{voice}", renamed),
        ("DELETE", "/{voice}", deleted),
        ("GET", "/{voice}/sample", sample),
        ("GET", "/{voice}/preview", previewed),
    ]
    return [
        *(
            # Each first visit of the page reads the list: some 15 KB, a tenth of that when packed.
            Route(
                f"{PATH}{path}",
                endpoint(answer),
                methods=[method],
                middleware=[Middleware(GZipMiddleware)] if answer is listed else None,
            )
            for method, path, answer in calls
        ),
        Route(SPEECH_PATH, endpoint(listed), methods=["GET"]),
        *consent_routes(consents),
    ]


def describe_voice(voice: Voice) -> dict[str, Any]:
    """Return a voice as JSON; ``kept``: whether a client has stored it."""
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.language,
        "gender": voice.gender,
        "engine": voice.engine,
        "kept": voice.id.startswith(CUSTOM_PREFIX),
        **({name: getattr(voice, name) for name in _SOUND} if voice.pitch_hz else {}),
    }


def describe_stored_voice(voice: Voice, stored: StoredVoice, engines: list[CloningStatus]) -> dict[str, Any]:
    return describe_voice(voice) | {
        "description": stored.description,
        "duration_s": stored.duration_s,
        "origin": stored.origin,
        "consent_at": stored.consent_at,
        "consent_recording": stored.has_consent_recording,
        "renamed_at": stored.renamed_at,
        "advice": list(stored.advice),
        "advice_reasons": [reason and reason.as_json() for reason in map(reason_of, stored.advice)],
        "engines": [
            {
                "engine": status.engine,
                "cloning": status.cloning,
                "state": status.state,
                "similarity": {
                    language: similarity_fields(similarity)
                    for language, similarity in status.similarity.items()
                },
            }
            for status in engines
        ],
    }


@contextmanager
def _stored(name: str) -> Iterator[str]:
    """Name what can be changed where a call changes another voice."""
    try:
        yield name
    except UnknownVoice as error:
        reason = f"voice: no client has stored {error.voice!r}; built-in voices cannot be changed or deleted"
        raise RequestError(404, reason, "voice") from error


async def _store(service: SpeechService, form: FormData) -> StoredVoice:
    if isinstance(form.get("consent_recording"), str):
        raise RequestError(400, "consent_recording: must be a file", "consent_recording")
    audio = await recording_of(form, "audio")
    spoken = await recording_of(form, "consent_recording") if "consent_recording" in form else None
    fields = text_fields(form, needed=("name",))
    return await service.cloning.add(
        NewVoice(
            fields["name"].strip(),
            audio,
            origin=ORIGIN,
            consent=fields.get("consent", ""),
            consent_recording=spoken,
            language=fields.get("language") or None,
            description=fields.get("description", ""),
        )
    )


def _describe_all(service: SpeechService, *, public_only: bool) -> list[dict[str, Any]]:
    """Return all voices as JSON, without the stored ones while their place is away. Reads files.

    public_only: without those that clients stored.
    """
    described = [
        describe_voice(voice)
        | ({"light": engine.light.when} if engine.light and voice.id in engine.light.languages else {})
        for engine in service.engines
        for voice in engine.voices
    ]
    if public_only:
        return described
    for stored in service.store.list_reachable():
        # A voice may be deleted or renamed, or their place be lost, while the others are read.
        with suppress(UnknownVoice, StoreUnavailable):
            described.append(_describe_stored(service, stored))
    return described


def _describe_one(service: SpeechService, name: str) -> dict[str, Any]:
    """Return a voice as JSON, by its id or the name of a stored voice. Reads files. Raises UnknownVoice."""
    found = find_voice(service, name)
    return describe_voice(found) if isinstance(found, Voice) else _describe_stored(service, found)


def _describe_stored(service: SpeechService, stored: StoredVoice) -> dict[str, Any]:
    """Return a stored voice as JSON. Reads files. Raises UnknownVoice."""
    return describe_stored_voice(service.catalogue.entry(stored), stored, service.cloning.statuses(stored))
