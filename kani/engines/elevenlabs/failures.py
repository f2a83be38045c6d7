"""Failures of ElevenLabs: their codes, the sentences for clients, and which of them may pass."""

from __future__ import annotations

from collections.abc import Mapping

from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.engines.upstream.relay import ServiceFailed
from kani.text import foreign

MAX_DETAIL_CHARACTERS = 300

_KEY_REFUSED = "ElevenLabs refused this server's API key"
_NO_CREDITS = "the ElevenLabs account of this server has no credits left"
_UNKNOWN_VOICE = "ElevenLabs knows no such voice"
_UNSUITABLE_MODEL = "ElevenLabs cannot stream this server's model"
_BUSY = "ElevenLabs takes no more requests at the moment"
_OTHER = "ElevenLabs failed"

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

# A stall is not among them: a second try would make the client wait for another timeout.
_TRANSIENT = frozenset(
    "too_many_concurrent_requests rate_limit_exceeded system_busy closed_early unreachable "
    "unavailable".split()
)

# Failures of one voice or text, which say nothing about other requests.
_OF_ONE_REQUEST = frozenset("voice_id_does_not_exist voice_not_found subscription_required silent".split())

_CODE_BY_STATUS = {
    401: "unauthorized",
    402: "payment_required",
    403: "subscription_required",
    429: "too_many_concurrent_requests",
}


class UpstreamFailed(ServiceFailed):
    """ElevenLabs failed; ``str()`` is a sentence fit for a client.

    code: one of ``CLIENT_SENTENCES``, or any other of ElevenLabs'; detail: for the log, without the API key.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(CLIENT_SENTENCES.get(code, _OTHER), code, detail)

    @property
    def metric_code(self) -> str:
        """The code, or "other" for an unknown one, so that the number of label values is bounded."""
        return self.code if self.code in CLIENT_SENTENCES else "other"

    @property
    def affects_all_requests(self) -> bool:
        """True if other requests would fail likewise: the account or the service is the cause."""
        return self.code in CLIENT_SENTENCES and self.code not in _OF_ONE_REQUEST

    @property
    def transient(self) -> bool:
        """True if another try a moment later may succeed."""
        return self.code in _TRANSIENT


def redacted(text: str, key: str) -> str:
    """Return ``text`` fit for a log: on one line, without ``key``, at most ``MAX_DETAIL_CHARACTERS`` long."""
    return " ".join(text.replace(key, "(the key)").split())[:MAX_DETAIL_CHARACTERS]


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
