"""Error answers of OpenAI's API: statuses, codes, headers and bodies.

Handlers raise ``ApiError`` or a ``SpeechError`` of the core; ``endpoint`` answers both. OpenAI's SDKs retry
408, 409, 429 and every status from 500 on, unless ``x-should-retry`` says otherwise.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from kani.core import errors
from kani.protocols.shared.calls.faults import WrongFields
from kani.protocols.shared.errors import Handler, answering, unknown_voice
from kani.protocols.shared.recordings.upload import FileTooLarge

RETRY_AFTER_S = 1
"""Seconds that ``retry-after`` asks for: a place is free again as soon as a segment has been spoken."""

_CODES = {
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "service_unavailable",
}
"""Code of each status that has one of its own."""

_TYPES = {429: "rate_limit_error"}
"""Type of each status below 500 that has one of its own."""

FAULT_CODES = {"missing": "missing_required_parameter", "type": "invalid_type", "value": "invalid_value"}
_FIELD_NAMES = {"text": "input"}
"""The API's names of the core's fields, where they differ."""


class ApiError(Exception):
    """A request that is answered with an error; ``str()`` is the message.

    param: the invalid field, if the error is about one; code: OpenAI's name of the error, that of the status
    if not given; retry: whether the same request may succeed later, by default what the status implies.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        *,
        retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code or _CODES.get(status)
        self.retry = (status == 429 or status >= 500) if retry is None else retry

    @property
    def headers(self) -> dict[str, str]:
        """Headers that say whether and when the request may be repeated."""
        headers = {} if self.retry else {"x-should-retry": "false"}
        return headers | ({"retry-after": str(RETRY_AFTER_S)} if self.status in (429, 503) else {})

    def as_json(self) -> dict[str, Any]:
        """Return the object under ``error``: message, type, param and code."""
        kind = "server_error" if self.status >= 500 else _TYPES.get(self.status, "invalid_request_error")
        return {"message": str(self), "type": kind, "param": self.param, "code": self.code}


def endpoint(handler: Handler, fields: Mapping[str, str] = _FIELD_NAMES) -> Handler:
    """Wrap a handler so that its errors become a status and an error object.

    fields: the API's names of the core's fields, where they differ.
    """

    def refuse(error: ApiError | errors.SpeechError) -> Response:
        answer = error if isinstance(error, ApiError) else api_error(error, fields)
        return json_response({"error": answer.as_json()}, answer.status, answer.headers)

    return answering(handler, refuse, ApiError, errors.SpeechError)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON in ASCII: an unpaired surrogate in a client's text comes back as the same escape."""
    return Response(json.dumps(content), status, headers, "application/json")


def api_error(error: errors.SpeechError, fields: Mapping[str, str] = _FIELD_NAMES) -> ApiError:
    """Map an error of the core to the API's status, code and sentence; ``fields`` as for ``endpoint``."""
    match error:
        case errors.UnknownVoice():
            return field_error("voice", unknown_voice(error), "voice_not_found")
        case errors.TextTooLong():
            return _invalid(error, fields, "string_above_max_length")
        case errors.UnsupportedLanguage():
            return _invalid(error, fields, "unsupported_language")
        case errors.NameTaken():
            # Not 409, which OpenAI's SDKs retry.
            return _invalid(error, fields, "name_taken")
        case FileTooLarge():
            return ApiError(413, str(error), error.field, "file_too_large")
        case WrongFields():
            return _invalid(error, fields, FAULT_CODES[error.faults[0].kind])
        case errors.InvalidRequest():
            return _invalid(error, fields, "invalid_value")
        case errors.RateLimited():
            return ApiError(429, str(error))
        case errors.ServerStopping() | errors.SpeechCancelled():
            # A client that has cancelled it reads no answer.
            return ApiError(503, str(errors.ServerStopping()))
        case errors.Busy():
            return ApiError(429, str(error), code="server_busy")
        case errors.EngineUnavailable() | errors.StoreUnavailable():
            # Only the operator can change that.
            return ApiError(503, str(error), retry=False)
        case errors.EngineLost():
            return ApiError(503, str(error))
        case errors.TimedOut():
            return ApiError(504, str(error), code="timeout")
    return ApiError(500, str(error), code="internal_error")


def _invalid(error: errors.InvalidRequest, fields: Mapping[str, str], code: str) -> ApiError:
    return field_error(fields.get(error.field, error.field), error.reason, code)


def field_error(field: str, reason: str, code: str = "invalid_value") -> ApiError:
    """Return the error of a field."""
    return ApiError(400, f"{field}: {reason}", field, code)


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error that the server answers before a request reaches the API."""
    return {"error": ApiError(status, message).as_json()}
