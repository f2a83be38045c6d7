"""What went wrong, in the words of ElevenLabs' HTTP answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from speech import request_ids
from speech.errors import (
    Busy,
    EngineUnavailable,
    InvalidRequest,
    NameTaken,
    RateLimited,
    SpeechCancelled,
    SpeechError,
    StoreUnavailable,
    TextTooLong,
    TimedOut,
    UnknownVoice,
    UnsupportedLanguage,
)

VALIDATION_ERROR = "validation_error"

_TRY_AGAIN = (429, 503)

_FIELDS = {"voice": "voice_id", "language": "language_code", "audio": "files"}
"""The protocol's names of the core's fields, where they differ."""

_INVALID = {
    "model_id": "unsupported_model",
    "output_format": "invalid_output_format",
    "voice_settings": "invalid_voice_settings",
    "text": "invalid_text",
    "name": "invalid_name",
    "files": "invalid_files",
    "audio": "invalid_files",
    "labels": "invalid_labels",
    "consent": "invalid_consent",
}
"""The code of an error in a field."""


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """An error as an answer tells it.

    status: of HTTP; code: the protocol's word for it; kind: its class of errors; message: a sentence;
    param: the field that is wrong, if one is.
    """

    status: int
    code: str
    error_type: str
    message: str
    param: str | None = None

    def as_json(self, request_id: str) -> dict[str, Any]:
        """What stands under ``detail``."""
        told: dict[str, Any] = {"type": self.error_type, "code": self.code, "message": self.message}
        told |= {"status": self.code, "request_id": request_id}
        return told if self.param is None else told | {"param": self.param}


_BY_STATUS = {
    401: ("unauthorized", "authentication_error"),
    403: ("forbidden", "authorization_error"),
    404: ("not_found", "not_found"),
    405: ("method_not_allowed", VALIDATION_ERROR),
    413: ("request_too_large", VALIDATION_ERROR),
    503: ("service_unavailable", "server_error"),
    507: ("insufficient_storage", "server_error"),
}


class FieldTooLarge(InvalidRequest):
    """A body with more bytes in a field than are taken."""


class Unprocessable(Exception):
    """A body whose fields are missing or of the wrong type: ``errors`` tells each, as FastAPI does."""

    def __init__(self, *errors: dict[str, Any]) -> None:
        super().__init__("unprocessable")
        self.errors = list(errors)


def error_response(error: SpeechError) -> Response:
    """The HTTP answer that tells ``error``."""
    failure = error_detail(error)
    headers = {"retry-after": "1"} if failure.status in _TRY_AGAIN else None
    # In ASCII, so that half a surrogate pair of a client's goes back as it came.
    body = json.dumps({"detail": failure.as_json(request_ids.current())})
    return Response(body, failure.status, headers, "application/json")


def error_body(status: int, reason: str, call: str = "") -> dict[str, Any]:
    """The body of an HTTP answer that the server gives before the protocol is asked.

    call: method and path of a call that is not served.
    """
    code, kind = _BY_STATUS.get(status, ("invalid_request", VALIDATION_ERROR))
    if call and status in (404, 405):
        reason = f"{call} is not served here."
    detail = ErrorDetail(status, code, kind, reason).as_json(request_ids.current())
    return {"detail": detail | ({"status": "invalid_api_key"} if status == 401 else {})}


def error_detail(error: SpeechError) -> ErrorDetail:
    """How an answer tells ``error``."""
    match error:
        case UnknownVoice():
            message = f"A voice with voice_id '{error.voice}' was not found."
            return ErrorDetail(404, "voice_not_found", "not_found", message, "voice_id")
        case TextTooLong():
            message = f"text: too long (at most {error.limit} characters)."
            return ErrorDetail(400, "max_character_limit_exceeded", VALIDATION_ERROR, message, "text")
        case NameTaken():
            # Not 409: the service's own SDK sends such a request again, and then without its form.
            return ErrorDetail(400, "name_taken", VALIDATION_ERROR, str(error), "name")
        case FieldTooLarge():
            return ErrorDetail(413, "request_too_large", VALIDATION_ERROR, str(error), error.field)
        case UnsupportedLanguage():
            return _invalid(error, "unsupported_language")
        case InvalidRequest():
            return _invalid(error, _INVALID.get(error.field.partition(".")[0], "invalid_request"))
        case RateLimited():
            return ErrorDetail(429, "too_many_concurrent_requests", "rate_limit_error", str(error))
        case Busy():
            return ErrorDetail(429, "system_busy", "rate_limit_error", str(error))
        case EngineUnavailable() | StoreUnavailable() | SpeechCancelled():
            return ErrorDetail(503, "service_unavailable", "server_error", str(error))
        case TimedOut():
            return ErrorDetail(504, "request_timeout", "server_error", str(error))
    return ErrorDetail(500, "internal_server_error", "server_error", str(error))


def _invalid(error: InvalidRequest, code: str) -> ErrorDetail:
    field = _FIELDS.get(error.field, error.field)
    return ErrorDetail(400, code, VALIDATION_ERROR, f"{field}: {error.reason}", field)
