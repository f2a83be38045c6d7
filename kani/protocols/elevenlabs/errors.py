"""Answers of ElevenLabs' HTTP API: JSON, and the statuses, codes and bodies of errors."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from kani.core import errors, request_ids
from kani.protocols.shared.calls.bodies import unused_header
from kani.protocols.shared.errors import Handler, answering, json_response
from kani.protocols.shared.protocol import Refusal
from kani.protocols.shared.recordings.upload import FileTooLarge

VALIDATION_ERROR = "validation_error"

_FIELD_NAMES = {"voice": "voice_id", "language": "language_code", "audio": "files"}
"""The protocol's names of the core's fields, where they differ."""

_FIELD_CODES = {
    "model_id": "unsupported_model",
    "output_format": "invalid_output_format",
    "voice_settings": "invalid_voice_settings",
    "settings": "invalid_voice_settings",
    "text": "invalid_text",
    "name": "invalid_name",
    "files": "invalid_files",
    "audio": "invalid_files",
    "file": "invalid_file",
    "labels": "invalid_labels",
    "consent": "invalid_consent",
}
"""Error code of each field; ``invalid_request`` for others."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One error in the protocol's terms."""

    status: int  # of HTTP
    code: str  # the protocol's name of the error
    error_type: str  # the class of errors that the code belongs to
    message: str
    param: str | None = None  # the invalid field, if the error is about one

    def as_json(self, request_id: str) -> dict[str, Any]:
        detail: dict[str, Any] = {"type": self.error_type, "code": self.code, "message": self.message}
        detail |= {"status": self.code, "request_id": request_id}
        return detail if self.param is None else detail | {"param": self.param}


_BY_STATUS = {
    401: ("unauthorized", "authentication_error"),
    403: ("forbidden", "authorization_error"),
    404: ("not_found", "not_found"),
    405: ("method_not_allowed", VALIDATION_ERROR),
    413: ("request_too_large", VALIDATION_ERROR),
    503: ("service_unavailable", "server_error"),
    507: ("insufficient_storage", "server_error"),
}


class InputsTooLong(errors.InvalidRequest):
    """A dialogue with more characters than the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__("inputs", f"their texts are too long together (at most {limit} characters)")


class UnknownSpeaker(errors.UnknownVoice):
    """A voice of a dialogue that is not known; ``param`` is where it is named."""

    def __init__(self, voice: str, param: str) -> None:
        super().__init__(voice)
        self.param = param


class Unprocessable(errors.SpeechError):
    """A body with missing fields or fields of the wrong type; ``errors`` has FastAPI's form."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__("unprocessable")
        self.errors = list(errors)


def endpoint(handler: Handler) -> Handler:
    """Wrap a handler so that its errors become a status and a ``detail``."""
    return answering(handler, error_response, errors.SpeechError)


def json_answer(content: Any, status: int = 200, unused: Collection[str] = ()) -> Response:
    """Return an answer of JSON; unused: names of the given fields without effect."""
    return json_response(content, status, {"cache-control": "no-cache"} | unused_header(unused))


def error_response(error: errors.SpeechError) -> Response:
    if isinstance(error, Unprocessable):
        return json_answer({"detail": error.errors}, 422)
    detail = error_detail(error)
    return json_response({"detail": detail.as_json(request_ids.current())}, detail.status)


def refusal_body(refusal: Refusal) -> dict[str, Any]:
    """Build the body of an error that the server answers before a request reaches the protocol."""
    status, reason = refusal.status, refusal.reason
    code, error_type = _BY_STATUS.get(status, ("invalid_request", VALIDATION_ERROR))
    if refusal.call and status in (404, 405):
        reason += "."
    detail = ErrorDetail(status, code, error_type, reason).as_json(request_ids.current())
    return {"detail": detail | ({"status": "invalid_api_key"} if status == 401 else {})}


def error_detail(error: errors.SpeechError) -> ErrorDetail:
    """Map an error of the core to the protocol's status, code and sentence."""
    match error:
        case errors.UnknownVoice():
            message = f"A voice with voice_id '{error.voice}' was not found. GET /v2/voices lists the voices."
            param = error.param if isinstance(error, UnknownSpeaker) else "voice_id"
            return ErrorDetail(404, "voice_not_found", "not_found", message, param)
        case InputsTooLong():
            return ErrorDetail(400, "max_character_limit_exceeded", VALIDATION_ERROR, str(error), error.field)
        case errors.TextTooLong():
            message = f"text: too long (at most {error.limit} characters)."
            return ErrorDetail(400, "max_character_limit_exceeded", VALIDATION_ERROR, message, "text")
        case errors.NameTaken():
            # Not 409: ElevenLabs' SDK retries that status, and the retry has lost its form.
            return ErrorDetail(400, "name_taken", VALIDATION_ERROR, str(error), "name")
        case FileTooLarge():
            return ErrorDetail(413, "request_too_large", VALIDATION_ERROR, str(error), error.field)
        case errors.UnsupportedLanguage():
            return _invalid(error, "unsupported_language")
        case errors.InvalidRequest():
            return _invalid(error, _FIELD_CODES.get(error.field.partition(".")[0], "invalid_request"))
        case errors.RateLimited():
            return ErrorDetail(429, "too_many_concurrent_requests", "rate_limit_error", str(error))
        case errors.ServerStopping() | errors.SpeechCancelled():
            # A client that has cancelled it reads no answer.
            return ErrorDetail(503, "service_unavailable", "server_error", str(errors.ServerStopping()))
        case errors.Busy():
            return ErrorDetail(429, "system_busy", "rate_limit_error", str(error))
        case errors.EngineUnavailable() | errors.EngineLost() | errors.StoreUnavailable():
            return ErrorDetail(503, "service_unavailable", "server_error", str(error))
        case errors.TimedOut():
            return ErrorDetail(504, "request_timeout", "server_error", str(error))
    return ErrorDetail(500, "internal_server_error", "server_error", str(error))


def _invalid(error: errors.InvalidRequest, code: str) -> ErrorDetail:
    field = _FIELD_NAMES.get(error.field, error.field)
    return ErrorDetail(400, code, VALIDATION_ERROR, f"{field}: {error.reason}", field)
