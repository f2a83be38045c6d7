"""Calls that add, rename, play and delete stored voices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.pcm import MEDIA_TYPES, extension_of
from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.core.voices.store import NewVoice, StoredVoice
from kani.protocols.elevenlabs.http.responses import endpoint, json_response
from kani.protocols.elevenlabs.http.voice_form import (
    CONSENT_HEADER,
    VoiceForm,
    join_recordings,
    read_voice_form,
)
from kani.protocols.elevenlabs.http.voices_list import sample_id
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_stored_voice
from kani.protocols.shared.calls.unused import unused_header

log = logging.getLogger(__name__)

ORIGIN = "elevenlabs"

NO_CONSENT = (
    "that of the person who speaks is needed, in words, as a form field of that name, "
    f"as labels.consent or in the header {CONSENT_HEADER}"
)
ONE_RECORDING = "a stored voice has exactly one recording: delete the voice and add it again"


def voice_routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """Return the calls. Errors are ``{"detail": …}`` with 400, 404, 413, 422, 429, 503 or 507."""

    async def find_voice(request: Request) -> StoredVoice:
        return await asyncio.to_thread(
            resolve_stored_voice, service, request.path_params["voice_id"], settings
        )

    async def find_sample(request: Request) -> StoredVoice:
        """Return the voice of the sample in the path. Raises HTTPException (404) for another sample."""
        voice = await find_voice(request)
        if request.path_params["sample_id"] != sample_id(voice):
            raise HTTPException(404, "the voice has no sample of that sample_id")
        return voice

    async def add(request: Request) -> Response:
        form = await read_voice_form(request, files_needed=True)
        if not form.consent:
            raise InvalidRequest("consent", NO_CONSENT)
        recording, complete = await run_in_pool(RECORDING_POOL, join_recordings, form.files)
        with _report_disk_errors():
            voice = await service.cloning.add(
                NewVoice(
                    form.name,
                    recording,
                    origin=ORIGIN,
                    consent=form.consent,
                    language=form.language,
                    description=form.description or "",
                )
            )
        answer = {"voice_id": voice.id, "requires_verification": False, "advice": list(voice.advice)}
        return _with_unused(json_response(answer), (*form.unused, *([] if complete else ["files"])))

    async def edit(request: Request) -> Response:
        form = await read_voice_form(request, files_needed=False)
        voice = await find_voice(request)
        _check_edit(form, voice)
        with _report_disk_errors():
            voice = await service.cloning.rename(voice.name, form.name)
        return _with_unused(json_response({"status": "ok", "voice_id": voice.id}), form.unused)

    async def delete(request: Request) -> Response:
        voice = await find_voice(request)
        with _report_disk_errors():
            await service.cloning.delete(voice.name)
        return json_response({"status": "ok"})

    async def play_sample(request: Request) -> Response:
        voice = await find_sample(request)
        recording = await asyncio.to_thread(service.store.recording, voice)
        headers = {
            "cache-control": "no-store",
            "content-disposition": f"inline; filename*=UTF-8''{quote(voice.name)}",
            "x-content-type-options": "nosniff",
        }
        return Response(recording, media_type=MEDIA_TYPES[extension_of(recording)], headers=headers)

    async def delete_sample(request: Request) -> Response:
        await find_sample(request)
        raise InvalidRequest("sample_id", ONE_RECORDING)

    calls = [
        ("POST", "/v1/voices/add", add),
        ("DELETE", "/v1/voices/{voice_id}", delete),
        ("POST", "/v1/voices/{voice_id}/edit", edit),
        ("GET", "/v1/voices/{voice_id}/samples/{sample_id}/audio", play_sample),
        ("DELETE", "/v1/voices/{voice_id}/samples/{sample_id}", delete_sample),
    ]
    return [Route(path, endpoint(handler), methods=[method]) for method, path, handler in calls]


def _check_edit(form: VoiceForm, voice: StoredVoice) -> None:
    """Raise InvalidRequest for changes that need another recording."""
    if form.files:
        raise InvalidRequest("files", ONE_RECORDING)
    if form.description not in (None, voice.description):
        raise InvalidRequest("description", "cannot be changed: it belongs to the recording")
    if form.language not in (None, voice.language):
        raise InvalidRequest("labels.language", "cannot be changed: it belongs to the recording")


def _with_unused(answer: Response, names: tuple[str, ...]) -> Response:
    answer.headers.update(unused_header(names))
    return answer


@contextmanager
def _report_disk_errors() -> Iterator[None]:
    """Turn OSError into HTTPException (507)."""
    try:
        yield
    except OSError as error:
        log.error("writing a stored voice failed: %s", error)
        raise HTTPException(507, "the voice could not be written on this server") from error
