"""Errors of the core as answers of OpenAI's API."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from kani.core import errors
from kani.protocols.shared.calls.faults import WrongFields
from kani.protocols.shared.errors import Handler, RequestError, answering, field_error, unknown_voice
from kani.protocols.shared.recordings.upload import FileTooLarge

FAULT_CODES = {"missing": "missing_required_parameter", "type": "invalid_type", "value": "invalid_value"}
_FIELD_NAMES = {"text": "input"}
"""The API's names of the core's fields, where they differ."""


def endpoint(handler: Handler, fields: Mapping[str, str] = _FIELD_NAMES) -> Handler:
    """Wrap a handler so that its errors become a status and an error object.

    fields: the API's names of the core's fields, where they differ.
    """

    def refuse(error: RequestError | errors.SpeechError) -> Response:
        answer = error if isinstance(error, RequestError) else api_error(error, fields)
        return answer.response()

    return answering(handler, refuse, RequestError, errors.SpeechError)


def api_error(error: errors.SpeechError, fields: Mapping[str, str] = _FIELD_NAMES) -> RequestError:
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
            return RequestError(413, str(error), error.field, "file_too_large")
        case WrongFields():
            return _invalid(error, fields, FAULT_CODES[error.faults[0].kind])
        case errors.InvalidRequest():
            return _invalid(error, fields, "invalid_value")
        case errors.RateLimited():
            return RequestError(429, str(error))
        case errors.ServerStopping() | errors.SpeechCancelled():
            # A client that has cancelled it reads no answer.
            return RequestError(503, str(errors.ServerStopping()))
        case errors.Busy():
            return RequestError(429, str(error), code="server_busy")
        case errors.EngineUnavailable() | errors.StoreUnavailable():
            # Only the operator can change that.
            return RequestError(503, str(error), retry=False)
        case errors.EngineLost():
            return RequestError(503, str(error))
        case errors.TimedOut():
            return RequestError(504, str(error), code="timeout")
    return RequestError(500, str(error), code="internal_error")


def _invalid(error: errors.InvalidRequest, fields: Mapping[str, str], code: str) -> RequestError:
    return field_error(fields.get(error.field, error.field), error.reason, code)


def error_body(status: int, message: str) -> dict[str, Any]:
    """Return the body of an error that the server answers before a request reaches the API."""
    error = RequestError(status, message).as_json()
    return {"error": error | {"code": None} if status == 400 else error}
