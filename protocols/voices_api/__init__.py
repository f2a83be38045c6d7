"""/v1/audio/voices: lists all voices; stores, plays, renames and deletes clients' voices.

OpenAI's clients use the same paths: ``openai_voices`` answers what only they ask for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from protocols.shared.protocol import PathClass, Protocol, is_anonymous, plain_refusal
from speech.audio.pcm import MAX_RECORDING_BYTES
from speech.errors import Busy, EngineUnavailable, InvalidRequest, NameTaken, StoreUnavailable, UnknownVoice
from speech.service import SpeechService
from speech.types import Voice
from speech.voices.cloning import CloningStatus
from speech.voices.store import CUSTOM_PREFIX, StoredVoice
from speech.voices.store_files import media_type

log = logging.getLogger(__name__)

PATH = "/v1/audio/voices"
SPEECH_PATH = "/v1/audio/speech/voices"
"""Where clients of Speaches look for the same list."""

ORIGIN = "voices"
RECORDING_FIELDS = ("audio", "consent_recording")
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024
MAX_RECORDINGS_BYTES = 15 * 1024 * 1024
"""Bytes of both recordings together: a form has to be shorter than the server's longest message."""

MAX_FORM_BYTES = MAX_RECORDINGS_BYTES + MAX_FIELDS * (MAX_FIELD_BYTES + 1024)

_EXTENSIONS = {
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
}


class VoiceRequestError(Exception):
    """A request that is answered with an error; param: the form's field at fault, if any."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


class _Renamed(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a PATCH."""

    name: str


def protocol(*, open_lists: bool = False) -> Protocol:
    """Return the protocol; its refusals keep their own shape below the prefix of ElevenLabs' paths.

    open_lists: whether the built-in voices are listed without a key.
    """
    return Protocol(
        lambda context: routes(context.service),
        paths=dict.fromkeys((PATH, SPEECH_PATH), PathClass.LIST) if open_lists else {},
        refusals={PATH: plain_refusal},
    )


def routes(service: SpeechService) -> list[BaseRoute]:
    """Return the routes.

    Errors are ``{"error": {"message": …, "param": …}}`` with 400, 404, 409 (the name is taken), 413, 503 (too
    many voices are being added, a newer version of the server has changed the voices, or the recording check
    is unavailable) or 507 (the voices could not be read or written).
    """

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
        kind = media_type(recording)
        headers = {
            "cache-control": "no-store",
            "content-disposition": f"inline; filename*=UTF-8''{quote(voice.name)}.{_EXTENSIONS[kind]}",
            "x-content-type-options": "nosniff",
        }
        return Response(recording, media_type=kind, headers=headers)

    async def stored(request: Request) -> Response:
        form = await read_form(request)
        try:
            voice = await _store(service, form)
        finally:
            await form.close()
        return JSONResponse(await asyncio.to_thread(_describe_stored, service, voice), 201)

    async def renamed(request: Request) -> Response:
        new = await _new_name(request)
        voice = await service.cloning.rename(request.path_params["voice"], new)
        return JSONResponse(await asyncio.to_thread(_describe_stored, service, voice))

    async def deleted(request: Request) -> Response:
        voice = request.path_params["voice"]
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
    ]
    return [
        *(Route(f"{PATH}{path}", _endpoint(answer), methods=[method]) for method, path, answer in calls),
        Route(SPEECH_PATH, _endpoint(listed), methods=["GET"]),
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
    }


def describe_stored_voice(voice: Voice, stored: StoredVoice, engines: list[CloningStatus]) -> dict[str, Any]:
    """Return a stored voice as JSON, with its description and each engine's similarity to it."""
    return describe_voice(voice) | {
        "description": stored.description,
        "duration_s": stored.duration_s,
        "origin": stored.origin,
        "consent_at": stored.consent_at,
        "consent_recording": stored.has_consent_recording,
        "renamed_at": stored.renamed_at,
        "advice": list(stored.advice),
        "engines": [
            {
                "engine": status.engine,
                "cloning": status.cloning,
                "state": status.state,
                "similarity": {
                    language: {
                        "before": round(similarity.before, 3),
                        "now": round(similarity.now, 3),
                        "measured": similarity.measured,
                    }
                    for language, similarity in status.similarity.items()
                },
            }
            for status in engines
        ],
    }


async def read_form(request: Request) -> FormData:
    """Read the form of a request, at most ``MAX_FORM_BYTES``. Raises VoiceRequestError."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise VoiceRequestError(400, "a multipart form is needed: name, audio (a file) and consent")
    parser = MultiPartParser(
        request.headers,
        _bounded(
            request,
            MAX_FORM_BYTES,
            _too_large("audio", f"; with the consent {MAX_RECORDINGS_BYTES // 2**20} MiB"),
        ),
        max_files=len(RECORDING_FIELDS),
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise VoiceRequestError(400, error.message) from error


async def _bounded(request: Request, limit: int, beyond: VoiceRequestError) -> AsyncGenerator[bytes, None]:
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > limit:
            raise beyond
        yield piece


def _too_large(field: str, more: str = "") -> VoiceRequestError:
    return VoiceRequestError(
        413, f"{field}: too large (at most {MAX_RECORDING_BYTES // 2**20} MiB{more})", field
    )


async def _store(service: SpeechService, form: FormData) -> StoredVoice:
    files = {field: form.get(field) for field in RECORDING_FIELDS}
    for field, file in files.items():
        if isinstance(file, UploadFile) and (file.size or 0) > MAX_RECORDING_BYTES:
            raise _too_large(field)
    audio, spoken = files.values()
    if not isinstance(audio, UploadFile):
        raise VoiceRequestError(400, "audio: a file is needed", "audio")
    if isinstance(spoken, str):
        raise VoiceRequestError(400, "consent_recording: must be a file", "consent_recording")
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    for field in ("name", "consent") if spoken is None else ("name",):
        if not fields.get(field, "").strip():
            raise VoiceRequestError(400, f"{field}: is needed", field)
    return await service.cloning.add(
        fields["name"].strip(),
        await audio.read(),
        origin=ORIGIN,
        consent=fields.get("consent", ""),
        consent_recording=None if spoken is None else await spoken.read(),
        language=fields.get("language") or None,
        description=fields.get("description", ""),
    )


async def _new_name(request: Request) -> str:
    too_long = VoiceRequestError(413, f"the body is too long (at most {MAX_FIELD_BYTES // 1024} KiB)")
    body = b"".join([piece async for piece in _bounded(request, MAX_FIELD_BYTES, too_long)])
    try:
        return msgspec.json.decode(body, type=_Renamed).name.strip()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise VoiceRequestError(400, 'name: the body must be JSON: {"name": the new one}', "name") from error


def _describe_all(service: SpeechService, *, public_only: bool) -> list[dict[str, Any]]:
    """Return all voices as JSON; public_only: without those that clients stored. Reads files."""
    described = [describe_voice(voice) for engine in service.engines for voice in engine.voices]
    if public_only:
        return described
    for stored in service.store.list():
        # A voice may be deleted or renamed while the others are read.
        with suppress(UnknownVoice):
            described.append(_describe_stored(service, stored))
    return described


def _describe_one(service: SpeechService, name: str) -> dict[str, Any]:
    """Return a voice as JSON, by its id or the name of a stored voice. Reads files. Raises UnknownVoice."""
    try:
        found = service.catalogue.find(name)
    except UnknownVoice:
        found = None
    if isinstance(found, Voice):
        return describe_voice(found)
    return _describe_stored(service, found or service.store.get(name))


def _describe_stored(service: SpeechService, stored: StoredVoice) -> dict[str, Any]:
    """Return a stored voice as JSON. Reads files. Raises UnknownVoice."""
    return describe_stored_voice(service.catalogue.entry(stored), stored, service.cloning.statuses(stored))


def _endpoint(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Wrap an endpoint, turning errors into this API's responses."""

    async def handle(request: Request) -> Response:
        try:
            return await answer(request)
        except VoiceRequestError as error:
            return _error_response(error)
        except UnknownVoice as unknown:
            return _error_response(VoiceRequestError(404, str(unknown), "voice"))
        except NameTaken as taken:
            return _error_response(VoiceRequestError(409, str(taken), "name"))
        except InvalidRequest as invalid:
            return _error_response(VoiceRequestError(400, str(invalid), invalid.field))
        except (Busy, StoreUnavailable, EngineUnavailable) as unavailable:
            return _error_response(VoiceRequestError(503, str(unavailable)))
        except OSError as error:
            log.error("the stored voices could not be read or written: %s", error)
            reason = "the voices could not be read or written on this server"
            return _error_response(VoiceRequestError(507, reason))

    return handle


def _error_response(error: VoiceRequestError) -> Response:
    # Half a surrogate pair of the client's text cannot be encoded.
    message = str(error).encode("utf-8", "replace").decode()
    return JSONResponse({"error": {"message": message, "param": error.param}}, error.status)
