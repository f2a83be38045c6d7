"""Multipart forms of the API, bounded in size, and its errors."""

import logging
from collections.abc import AsyncGenerator, Iterable
from typing import Annotated, TypeVar

from msgspec import Struct
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import Response

from kani.core import errors
from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.voices.store import MAX_NAME
from kani.protocols.shared.calls.bodies import about
from kani.protocols.shared.errors import Handler, RequestError, answering, unknown_voice
from kani_text import foreign

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_FILES = 2
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024
MAX_RECORDINGS_BYTES = 15 * 1024 * 1024
"""Bytes of both recordings together: a form has to be shorter than the server's longest message."""

MAX_FORM_BYTES = MAX_RECORDINGS_BYTES + MAX_FIELDS * (MAX_FIELD_BYTES + 1024)


VOICE_NAME = f"1 to {MAX_NAME} letters, digits, _ and -."


class Label(Struct):
    """The body that renames a consent."""

    name: Annotated[str, about("Name of the consent.")]


class Renamed(Struct, forbid_unknown_fields=True):
    """The body that renames a voice: nothing else of it can be changed."""

    name: Annotated[str, about(VOICE_NAME)]


async def read_form(request: Request, needed: str) -> FormData:
    """Read a form of at most ``MAX_FORM_BYTES``; needed: its fields. Raises RequestError."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise RequestError(400, f"a multipart form is needed: {needed}")
    beyond = too_large("audio", f"; with the consent {MAX_RECORDINGS_BYTES // 2**20} MiB")
    parser = MultiPartParser(
        request.headers,
        bounded(request, MAX_FORM_BYTES, beyond),
        max_files=MAX_FILES,
        max_fields=MAX_FIELDS,
        max_part_size=MAX_FIELD_BYTES,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise RequestError(400, error.message) from error


async def bounded(request: Request, limit: int, beyond: RequestError) -> AsyncGenerator[bytes, None]:
    """Yield the body of a request; raises ``beyond`` after ``limit`` bytes."""
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > limit:
            raise beyond
        yield piece


async def read_json(request: Request, kind: type[T]) -> T:
    """Read a short body of JSON, which has a name. Raises RequestError."""
    too_long = RequestError(413, f"the body is too long (at most {MAX_FIELD_BYTES // 1024} KiB)")
    body = b"".join([piece async for piece in bounded(request, MAX_FIELD_BYTES, too_long)])
    try:
        return foreign.decode_json(body, kind)
    except foreign.Unreadable as error:
        raise RequestError(400, 'name: the body must be JSON: {"name": the new one}', "name") from error


def text_fields(form: FormData, needed: Iterable[str] = ()) -> dict[str, str]:
    """Return the fields that are no files. Raises RequestError for a needed one that is missing or empty."""
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    for field in needed:
        if not fields.get(field, "").strip():
            raise RequestError(400, f"{field}: is needed", field)
    return fields


async def recording_of(form: FormData, field: str) -> bytes:
    """Read a file of the form. Raises RequestError if it is missing, or too large."""
    file = form.get(field)
    if not isinstance(file, UploadFile):
        raise RequestError(400, f"{field}: a file is needed", field)
    if (file.size or 0) > MAX_RECORDING_BYTES:
        raise too_large(field)
    return await file.read()


def too_large(field: str, more: str = "") -> RequestError:
    mebibytes = MAX_RECORDING_BYTES // 2**20
    reason = errors.Reason("too_large", {"mebibytes": mebibytes})
    return RequestError(413, f"{field}: too large (at most {mebibytes} MiB{more})", field, reason=reason)


def endpoint(handler: Handler) -> Handler:
    """Wrap a handler, turning errors into this API's responses."""
    return answering(handler, _refuse, RequestError, errors.SpeechError, OSError)


def _refuse(error: RequestError | errors.SpeechError | OSError) -> Response:
    match error:
        case RequestError():
            return error.response()
        case errors.UnknownVoice():
            return RequestError(404, f"voice: {unknown_voice(error)}", "voice").response()
        case errors.NameTaken():
            return RequestError(409, str(error), "name", "name_taken").response()
        case errors.InvalidRequest():
            return RequestError(400, str(error), error.field, reason=error.details).response()
        case errors.Busy() | errors.StoreUnavailable() | errors.EngineUnavailable():
            return RequestError(503, str(error)).response()
        case OSError():
            log.error("the stored voices could not be read or written: %s", error)
            return RequestError(507, "the voices could not be read or written on this server").response()
    raise error
