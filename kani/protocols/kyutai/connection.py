"""Ends of the protocol's connections: close codes of the WebSockets, statuses of the HTTP endpoints."""

from dataclasses import dataclass
from functools import partial

from starlette.responses import Response

from kani.core import errors
from kani.protocols.kyutai.messages import NO_FREE_CHANNELS
from kani.protocols.shared.connection import (
    BAD_DATA,
    GOING_AWAY,
    INTERNAL_ERROR,
    NORMAL,
    STOPPING,
    TOO_BIG,
    TRY_LATER,
)
from kani.protocols.shared.errors import BadMessage, Handler, answering, json_response


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a WebSocket: a close code, and the reason if something was wrong."""

    code: int = NORMAL
    reason: str = ""


def closing_for(error: Exception, voice_field: str = "voice") -> Closing:
    """Return how an error ends a WebSocket; voice_field: the field that named the voice, for its errors."""
    match error:
        case errors.Busy():
            return Closing(TRY_LATER, NO_FREE_CHANNELS)
        case errors.TextTooLong():
            return Closing(TOO_BIG, str(error))
        case errors.InvalidRequest(field="reference"):
            return Closing(BAD_DATA, f"{voice_field}: {error.reason}")
        case errors.InvalidRequest() | BadMessage():
            return Closing(BAD_DATA, str(error))
        case errors.SpeechCancelled():
            return Closing(GOING_AWAY, STOPPING)
    return Closing(INTERNAL_ERROR, str(error))


def endpoint(handler: Handler, recording_field: str = "body") -> Handler:
    """Wrap an HTTP endpoint, turning its errors into 400, 500, 503 (try again) or 504 with a sentence.

    recording_field: the part of the request that holds a recording, for errors about it.
    """
    return answering(handler, partial(_refuse, recording_field), BadMessage, errors.SpeechError)


def _refuse(recording_field: str, error: BadMessage | errors.SpeechError) -> Response:
    match error:
        case BadMessage():
            return _error_response(400, str(error))
        case errors.InvalidRequest():
            field = recording_field if error.field in ("reference", "file") else error.field
            return _error_response(400, f"{field}: {error.reason}")
        case errors.Busy() | errors.EngineLost():
            return _error_response(503, str(error))
        case errors.TimedOut():
            return _error_response(504, str(error))
    return _error_response(500, str(error))


def _error_response(status: int, reason: str) -> Response:
    return json_response({"error": {"message": reason}}, status)
