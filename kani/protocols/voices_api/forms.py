"""Multipart forms of the API, bounded in size, and its errors."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Annotated, Any, TypeVar

from msgspec import Struct
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import (
    Busy,
    EngineUnavailable,
    InvalidRequest,
    NameTaken,
    Reason,
    StoreUnavailable,
    UnknownVoice,
)
from kani.core.voices.store import MAX_NAME
from kani.protocols.shared.calls.bodies import about
from kani.text import foreign

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_FILES = 2
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024
MAX_RECORDINGS_BYTES = 15 * 1024 * 1024
"""Bytes of both recordings together: a form has to be shorter than the server's longest message."""

MAX_FORM_BYTES = MAX_RECORDINGS_BYTES + MAX_FIELDS * (MAX_FIELD_BYTES + 1024)

_CODES = {404: "not_found", 409: "name_taken", 413: "request_too_large", 503: "service_unavailable"}
"""Code of the error, as OpenAI's clients read it, by the status; "invalid_value" for others below 500."""


VOICE_NAME = f"1 to {MAX_NAME} letters, digits, _ and -."


class Label(Struct):
    """The body that renames a consent."""

    name: Annotated[str, about("Name of the consent.")]


class Renamed(Struct, forbid_unknown_fields=True):
    """The body that renames a voice: nothing else of it can be changed."""

    name: Annotated[str, about(VOICE_NAME)]


class VoiceRequestError(Exception):
    """A request that is answered with an error; param: the form's field at fault, if any; reason: for clients
    that show it in another language."""

    def __init__(
        self, status: int, message: str, param: str | None = None, reason: Reason | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.reason = reason


async def read_form(request: Request, needed: str) -> FormData:
    """Read a form of at most ``MAX_FORM_BYTES``; needed: its fields. Raises VoiceRequestError."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise VoiceRequestError(400, f"a multipart form is needed: {needed}")
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
        raise VoiceRequestError(400, error.message) from error


async def bounded(request: Request, limit: int, beyond: VoiceRequestError) -> AsyncGenerator[bytes, None]:
    """Yield the body of a request; raises ``beyond`` after ``limit`` bytes."""
    taken = 0
    async for piece in request.stream():
        taken += len(piece)
        if taken > limit:
            raise beyond
        yield piece


async def read_json(request: Request, kind: type[T]) -> T:
    """Read a short body of JSON, which has a name. Raises VoiceRequestError."""
    too_long = VoiceRequestError(413, f"the body is too long (at most {MAX_FIELD_BYTES // 1024} KiB)")
    body = b"".join([piece async for piece in bounded(request, MAX_FIELD_BYTES, too_long)])
    try:
        return foreign.decode_json(body, kind)
    except foreign.Unreadable as error:
        raise VoiceRequestError(400, 'name: the body must be JSON: {"name": the new one}', "name") from error


def text_fields(form: FormData) -> dict[str, str]:
    """Return the fields that are no files."""
    return {name: value for name, value in form.items() if isinstance(value, str)}


async def recording_of(form: FormData, field: str) -> bytes:
    """Read a file of the form. Raises VoiceRequestError if it is missing, or too large."""
    file = form.get(field)
    if not isinstance(file, UploadFile):
        raise VoiceRequestError(400, f"{field}: a file is needed", field)
    if (file.size or 0) > MAX_RECORDING_BYTES:
        raise too_large(field)
    return await file.read()


def too_large(field: str, more: str = "") -> VoiceRequestError:
    """Return the error of a recording with too many bytes."""
    mebibytes = MAX_RECORDING_BYTES // 2**20
    reason = Reason("too_large", {"mebibytes": mebibytes})
    return VoiceRequestError(413, f"{field}: too large (at most {mebibytes} MiB{more})", field, reason)


def endpoint(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
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
            return _error_response(VoiceRequestError(400, str(invalid), invalid.field, invalid.details))
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
    server = error.status >= 500
    content: dict[str, Any] = {
        "message": message,
        "type": "server_error" if server else "invalid_request_error",
        "param": error.param,
        "code": _CODES.get(error.status, None if server else "invalid_value"),
    }
    if error.reason is not None:
        content["reason"] = error.reason.as_json()
    # A name that is taken stays taken, and a disk that is full stays full.
    headers = {"x-should-retry": "false"} if error.status in (409, 507) else {}
    headers |= {"retry-after": "1"} if error.status == 503 else {}
    return JSONResponse({"error": content}, error.status, headers)
