"""Calls that add, rename, play and delete stored voices."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.audio import pcm
from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.errors import InvalidRequest, UnsupportedLanguage
from kani.core.service import SpeechService
from kani.core.types import Samples
from kani.core.voices.store import NewVoice, StoredVoice
from kani.protocols.elevenlabs.errors import (
    Unprocessable,
    endpoint,
    json_answer,
    refusal_body,
)
from kani.protocols.elevenlabs.http.body import field_error, missing_field
from kani.protocols.elevenlabs.http.lists import sample_id
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_stored_voice
from kani.protocols.shared.errors import answering
from kani.protocols.shared.protocol import Refusal
from kani.protocols.shared.recordings.upload import FileTooLarge
from kani_text import foreign, languages

log = logging.getLogger(__name__)

MAX_FILES = 25
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024

CONSENT_HEADER = "x-consent"

JOINED_RATE = 48_000
"""Hertz of joined recordings: an encoder uses no frequency of a voice above half of it."""

ORIGIN = "elevenlabs"

NO_CONSENT = (
    "that of the person who speaks is needed, in words, as a form field of that name, "
    f"as labels.consent or in the header {CONSENT_HEADER}"
)
ONE_RECORDING = "a stored voice has exactly one recording: delete the voice and add it again"

_WITHOUT_EFFECT = ("remove_background_noise",)
_LABELS_WITHOUT_EFFECT = ("accent", "age", "gender", "use_case")
_TRUE = ("true", "1", "on", "yes")


@dataclass(frozen=True, slots=True)
class VoiceForm:
    name: str  # as stored: runs of spaces replaced by "_"
    files: tuple[bytes, ...]  # recordings, at most ``MAX_FILES`` and 10 MiB together
    description: str | None
    language: str | None  # BCP 47 tag
    consent: str  # the speaker's, in words; "" if missing
    unused: tuple[str, ...]  # given fields without effect on this server


async def read_voice_form(request: Request, *, files_needed: bool) -> VoiceForm:
    """Parse the form of a request: ``name``, ``files``, ``description``, ``labels`` and ``consent``.

    ``labels`` is a JSON object of strings; ``language`` and ``consent`` have an effect. The consent
    is read from its own field, the label or the header ``x-consent``, in this order. Raises Unprocessable
    for a missing field, FileTooLarge, InvalidRequest, and HTTPException (400) for an unreadable form.
    """
    async with request.form(
        max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    ) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        files = await _files(form)
        missing = [] if "name" in fields else ["name"]
        if files_needed and not files:
            missing.append("files")
        if missing:
            raise Unprocessable(*(missing_field(["body", name]) for name in missing))
        labels = _labels(fields.get("labels", ""))
        unused = [name for name in _WITHOUT_EFFECT if fields.get(name, "").lower() in _TRUE]
        unused += [f"labels.{name}" for name in _LABELS_WITHOUT_EFFECT if labels.get(name)]
        consents = (fields.get("consent"), labels.get("consent"), _consent_header(request))
        return VoiceForm(
            "_".join(fields["name"].split()),
            files,
            fields.get("description"),
            _language(labels.get("language")),
            next((consent for consent in consents if consent and consent.strip()), ""),
            tuple(unused),
        )


async def _files(form: FormData) -> tuple[bytes, ...]:
    """Read the recordings. Raises Unprocessable for values that are no files, and FileTooLarge."""
    given = form.getlist("files")
    uploads = [file for file in given if isinstance(file, UploadFile)]
    if len(uploads) < len(given):
        index = next(index for index, file in enumerate(given) if isinstance(file, str))
        message = "Value error, Expected UploadFile, received: <class 'str'>"
        raise Unprocessable(field_error("value_error", ["body", "files", index], message, None))
    if sum(file.size or 0 for file in uploads) > pcm.MAX_RECORDING_BYTES:
        raise FileTooLarge(
            "files", f"too large (at most {pcm.MAX_RECORDING_BYTES >> 20} MiB, all of them together)"
        )
    return tuple([await file.read() for file in uploads])


def _labels(field: str) -> Mapping[str, str | None]:
    """Parse the labels; null and "" are no labels. Raises InvalidRequest."""
    try:
        labels = foreign.parse_json(field) if field.strip() else None
        # The SDK encodes labels that are given as a string once more, as a JSON string.
        if isinstance(labels, str):
            labels = foreign.parse_json(labels) if labels.strip() else None
    except foreign.Unreadable as error:
        raise InvalidRequest("labels", "must be JSON") from error
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(isinstance(value, str | None) for value in labels.values()):
        raise InvalidRequest("labels", "must be a JSON object of strings")
    return labels


def _language(label: str | None) -> str | None:
    try:
        return languages.resolve(label) if label else None
    except UnsupportedLanguage as error:
        raise InvalidRequest("labels.language", error.reason) from error


def _consent_header(request: Request) -> str:
    value = request.headers.get(CONSENT_HEADER, "")
    try:
        # Headers are decoded as Latin-1; clients send other letters as UTF-8.
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def join_recordings(files: Sequence[bytes]) -> tuple[bytes, bool]:
    """Return the recording to store for one or more ``files``, and whether it contains all of them.

    A single file is returned unchanged. Several are joined in order, as WAV of ``JOINED_RATE`` hertz and at
    most 60 s. Blocks (about 0.1 s for a minute of audio): call it in a thread. Raises InvalidRequest for
    ``files``.
    """
    if len(files) == 1:
        return files[0], True
    max_samples = round(pcm.MAX_RECORDING_S * JOINED_RATE)
    parts: list[Samples] = []
    count = 0
    for index, file in enumerate(files):
        try:
            part = pcm.decode_recording(file, truncate=True, sample_rate=JOINED_RATE)
        except InvalidRequest as error:
            raise InvalidRequest("files", f"number {index + 1} {error.reason}") from error
        parts.append(part.samples)
        count += len(part.samples)
        if count >= max_samples:
            break
    complete = len(parts) == len(files) and count <= max_samples
    return pcm.wav(np.concatenate(parts)[:max_samples], JOINED_RATE), complete


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
        return json_answer(answer, unused=[*form.unused, *([] if complete else ["files"])])

    async def edit(request: Request) -> Response:
        form = await read_voice_form(request, files_needed=False)
        voice = await find_voice(request)
        _check_edit(form, voice)
        voice = await service.cloning.rename(voice.name, form.name)
        return json_answer({"status": "ok", "voice_id": voice.id}, unused=form.unused)

    async def delete(request: Request) -> Response:
        voice = await find_voice(request)
        await service.cloning.delete(voice.name)
        return json_answer({"status": "ok"})

    async def play_sample(request: Request) -> Response:
        voice = await find_sample(request)
        recording = await asyncio.to_thread(service.store.recording, voice)
        headers = {
            "cache-control": "no-store",
            "content-disposition": f"inline; filename*=UTF-8''{quote(voice.name)}",
            "x-content-type-options": "nosniff",
        }
        return Response(recording, media_type=pcm.MEDIA_TYPES[pcm.extension_of(recording)], headers=headers)

    async def delete_sample(request: Request) -> Response:
        await find_sample(request)
        raise InvalidRequest("sample_id", ONE_RECORDING)

    calls = [
        ("POST", "/v1/voices/add", answering(add, _not_written, OSError)),
        ("DELETE", "/v1/voices/{voice_id}", answering(delete, _not_written, OSError)),
        ("POST", "/v1/voices/{voice_id}/edit", answering(edit, _not_written, OSError)),
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


def _not_written(error: OSError) -> Response:
    log.error("writing a stored voice failed: %s", error)
    return JSONResponse(refusal_body(Refusal(507, "the voice could not be written on this server")), 507)
