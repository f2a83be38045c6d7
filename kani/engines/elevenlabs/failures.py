"""Failures of ElevenLabs: their codes, the sentences for clients, and which of them may pass."""

from collections.abc import Mapping

from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.engines.upstream.failures import ServiceFailed, redacted
from kani_text import foreign

_KEY_REFUSED = "ElevenLabs refused this server's API key"
_NO_CREDITS = "the ElevenLabs account of this server has no credits left"
_UNKNOWN_VOICE = "ElevenLabs knows no such voice"
_UNSUITABLE_MODEL = "ElevenLabs cannot stream this server's model"
_BUSY = "ElevenLabs takes no more requests at the moment"

CLIENT_SENTENCES: Mapping[str, str] = {
    "invalid_api_key": _KEY_REFUSED,
    "unauthorized": _KEY_REFUSED,
    "missing_permissions": "this server's ElevenLabs API key may not do this",
    "quota_exceeded": _NO_CREDITS,
    "payment_required": _NO_CREDITS,
    "voice_id_does_not_exist": _UNKNOWN_VOICE,
    "voice_not_found": _UNKNOWN_VOICE,
    "unsupported_model": _UNSUITABLE_MODEL,
    "model_not_found": _UNSUITABLE_MODEL,
    "subscription_required": "the ElevenLabs account of this server does not include this",
    "detected_unusual_activity": "ElevenLabs has blocked this server's account for unusual activity",
    "input_timeout_exceeded": "ElevenLabs waited too long for text",
    "too_many_concurrent_requests": _BUSY,
    "rate_limit_exceeded": _BUSY,
    "system_busy": _BUSY,
    "stalled": "ElevenLabs did not answer in time",
    "closed_early": "ElevenLabs broke off before all was said",
    "silent": "ElevenLabs sent no sound",
    "unreachable": "ElevenLabs cannot be reached",
    "unavailable": "ElevenLabs is out of order",
}
"""Sentence for clients of each code: ElevenLabs' own codes, and this server's for failures without one."""

_CODE_BY_STATUS = {
    401: "unauthorized",
    402: "payment_required",
    403: "subscription_required",
    429: "too_many_concurrent_requests",
}


class UpstreamFailed(ServiceFailed):
    """ElevenLabs failed; its code is one of ``CLIENT_SENTENCES``, or any other of ElevenLabs'."""

    sentences, other_sentence = CLIENT_SENTENCES, "ElevenLabs failed"
    passing = frozenset(
        "too_many_concurrent_requests rate_limit_exceeded system_busy closed_early unreachable "
        "unavailable".split()
    )
    of_one_request = frozenset("voice_id_does_not_exist voice_not_found subscription_required silent".split())


def from_error_frame(error: object, message: object, key: str) -> UpstreamFailed:
    """Return the failure of an error frame: ``{"error": code, "message": sentence, "code": 1008}``."""
    code = error if isinstance(error, str) and error.isidentifier() else "other"
    return UpstreamFailed(code, redacted(str(message), key))


def from_http_response(status: int, body: bytes, key: str) -> UpstreamFailed:
    """Return the failure of an HTTP response: ``{"detail": {"status": code, "message": sentence}}``."""
    by_status = _CODE_BY_STATUS.get(status, "unavailable" if status >= 500 else "other")
    try:
        detail = foreign.parse_json(body)["detail"]
        code, message = detail["status"], detail["message"]
    except (ValueError, LookupError, TypeError):
        return UpstreamFailed(by_status, f"HTTP {status}")
    # An unknown code says less than the status.
    known = code if isinstance(code, str) and code in CLIENT_SENTENCES else by_status
    return UpstreamFailed(known, redacted(f"HTTP {status}, {code}: {message}", key))


def from_connection_error(error: Exception, key: str) -> UpstreamFailed:
    """Return the failure of an error of the WebSocket or of the network."""
    match error:
        case InvalidStatus():
            return from_http_response(error.response.status_code, bytes(error.response.body or b""), key)
        case TimeoutError():
            return UpstreamFailed("stalled", "no connection in time")
        case ConnectionClosed():
            return UpstreamFailed("closed_early", redacted(str(error), key))
    return UpstreamFailed("unreachable", redacted(f"{type(error).__name__}: {error}", key))
