"""GET, POST and DELETE /v1/audio/voices: the voices there are, and those that clients keep here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from speech.audio import MAX_RECORDING_BYTES
from speech.errors import InvalidRequest, UnknownVoice
from speech.service import SpeechService
from speech.types import Voice
from speech.voice_store import PREFIX

log = logging.getLogger(__name__)

ORIGIN = "voices"
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024
MAX_FORM_BYTES = MAX_RECORDING_BYTES + MAX_FIELDS * (MAX_FIELD_BYTES + 1024)


class Refused(Exception):
    """A request that is answered by an error; ``param`` names the form's field, if it is one's."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param


def routes(service: SpeechService) -> list[BaseRoute]:
    """The routes. Errors are ``{"error": {"message": …, "param": …}}`` with 400, 404, 409 or 413."""

    async def listed(request: Request) -> Response:
        voices = await asyncio.to_thread(service.catalogue.list)
        return JSONResponse({"voices": [describe(voice) for voice in voices]})

    async def kept(request: Request) -> Response:
        try:
            form = await read_form(request)
            try:
                voice = await _keep(service, form)
            finally:
                await form.close()
        except Refused as refused:
            return _error(refused)
        return JSONResponse(describe(voice), 201)

    async def deleted(request: Request) -> Response:
        try:
            await asyncio.to_thread(service.store.delete, request.path_params["voice"])
        except UnknownVoice as unknown:
            return _error(Refused(404, str(unknown), "voice"))
        return Response(status_code=204)

    return [
        Route("/v1/audio/voices", listed, methods=["GET"]),
        Route("/v1/audio/voices", kept, methods=["POST"]),
        Route("/v1/audio/voices/{voice}", deleted, methods=["DELETE"]),
    ]


def describe(voice: Voice) -> dict[str, Any]:
    """A voice as the answers show it; ``kept`` tells those that clients made."""
    return {
        "id": voice.id,
        "name": voice.name,
        "language": voice.language,
        "gender": voice.gender,
        "engine": voice.engine,
        "kept": voice.id.startswith(PREFIX),
    }


async def read_form(request: Request) -> FormData:
    """The form of a request, never more of it than a recording may be. Raises Refused."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(400, "a multipart form is needed: name, audio (a file) and consent")
    parser = MultiPartParser(
        request.headers, _bounded(request), max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise Refused(400, error.message) from error


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > MAX_FORM_BYTES:
            raise _too_large()
        yield piece


def _too_large() -> Refused:
    return Refused(413, f"audio: too large (at most {MAX_RECORDING_BYTES // 2**20} MiB)", "audio")


async def _keep(service: SpeechService, form: FormData) -> Voice:
    audio = form.get("audio")
    if not isinstance(audio, UploadFile):
        raise Refused(400, "audio: a file is needed", "audio")
    if audio.size is not None and audio.size > MAX_RECORDING_BYTES:
        raise _too_large()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    for field in ("name", "consent"):
        if not fields.get(field, "").strip():
            raise Refused(400, f"{field}: is needed", field)
    return await asyncio.to_thread(_store, service, fields, await audio.read())


def _store(service: SpeechService, fields: dict[str, str], recording: bytes) -> Voice:
    store, name = service.store, fields["name"].strip()
    try:
        taken = any(voice.name == name for voice in store.list())
        if taken:
            raise Refused(409, f"name: there is a voice {name!r} already; delete it first", "name")
        kept = store.add(
            name,
            recording,
            fields["consent"],
            origin=ORIGIN,
            language=fields.get("language") or None,
            description=fields.get("description", ""),
        )
    except InvalidRequest as invalid:
        raise Refused(400, str(invalid), invalid.field) from invalid
    except OSError as error:
        log.error("a voice could not be kept: %s", error)
        raise Refused(507, "the voice could not be written on this server") from error
    return next(voice for voice in service.catalogue.list() if voice.id == kept.id)


def _error(refused: Refused) -> Response:
    message = str(refused).encode("utf-8", "replace").decode()
    return JSONResponse({"error": {"message": message, "param": refused.param}}, refused.status)
