"""What can go wrong at ElevenLabs, in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping

from websockets.exceptions import ConnectionClosed, InvalidStatus

MAX_DETAIL_CHARACTERS = 300

_NO_KEY = "ElevenLabs refused this server's API key"
_NO_CREDITS = "the ElevenLabs account of this server has no credits left"
_NO_VOICE = "ElevenLabs knows no such voice"
_NO_MODEL = "ElevenLabs cannot stream this server's model"
_BUSY = "ElevenLabs takes no more requests at the moment"
_ELSE = "ElevenLabs failed"

CLIENT_SENTENCES: Mapping[str, str] = {
    "invalid_api_key": _NO_KEY,
    "unauthorized": _NO_KEY,
    "missing_permissions": "this server's ElevenLabs API key may not do this",
    "quota_exceeded": _NO_CREDITS,
    "payment_required": _NO_CREDITS,
    "voice_id_does_not_exist": _NO_VOICE,
    "voice_not_found": _NO_VOICE,
    "unsupported_model": _NO_MODEL,
    "model_not_found": _NO_MODEL,
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
"""The sentences for clients, by ElevenLabs' own codes, and by ours for what has none."""

_PASSING = frozenset(
    "too_many_concurrent_requests rate_limit_exceeded system_busy closed_early unreachable "
    "unavailable".split()
)
"""What may be over a moment later. A stall is not: whoever was waited for so long is not waited for again."""

_OF_ONE_REQUEST = frozenset("voice_id_does_not_exist voice_not_found subscription_required silent".split())
"""What says nothing of the next request's chances, whose voice or text is another."""

_BY_STATUS = {
    401: "unauthorized",
    402: "payment_required",
    403: "subscription_required",
    429: "too_many_concurrent_requests",
}


class UpstreamFailed(Exception):
    """ElevenLabs did not do what it was asked for.

    code: as in ``CODES``, or any other that ElevenLabs gave; detail: for the log, without the key.
    ``str()`` is a sentence fit for a client.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(CLIENT_SENTENCES.get(code, _ELSE))
        self.code = code
        self.detail = detail

    @property
    def metric_code(self) -> str:
        """The code, or "other": what is counted by it stays bounded."""
        return self.code if self.code in CLIENT_SENTENCES else "other"

    @property
    def affects_all_requests(self) -> bool:
        """Whether others would meet with it too: it is the account's or the service's, not one request's."""
        return self.code in CLIENT_SENTENCES and self.code not in _OF_ONE_REQUEST

    @property
    def transient(self) -> bool:
        """Whether it is worth trying again."""
        return self.code in _PASSING


def redacted(text: str, key: str) -> str:
    """``text`` on one line as a log may hold it: cut, and without ``key``."""
    return " ".join(text.replace(key, "(the key)").split())[:MAX_DETAIL_CHARACTERS]


def from_error_frame(error: object, message: object, key: str) -> UpstreamFailed:
    """The failure that an error frame tells: ``{"error": code, "message": sentence, "code": 1008}``."""
    code = error if isinstance(error, str) and error.isidentifier() else "other"
    return UpstreamFailed(code, redacted(str(message), key))


def from_http_response(status: int, body: bytes, key: str) -> UpstreamFailed:
    """The failure that an HTTP answer tells: ``{"detail": {"status": code, "message": sentence}}``."""
    by_status = _BY_STATUS.get(status, "unavailable" if status >= 500 else "other")
    try:
        detail = json.loads(body)["detail"]
        code, message = detail["status"], detail["message"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return UpstreamFailed(by_status, f"HTTP {status}")
    # A code that says nothing here says less than the status.
    known = code if isinstance(code, str) and code in CLIENT_SENTENCES else by_status
    return UpstreamFailed(known, redacted(f"HTTP {status}, {code}: {message}", key))


def from_connection_error(error: Exception, key: str) -> UpstreamFailed:
    """The failure behind an error of the WebSocket, or of the network below it."""
    match error:
        case InvalidStatus():
            return from_http_response(error.response.status_code, bytes(error.response.body or b""), key)
        case TimeoutError():
            return UpstreamFailed("stalled", "no connection in time")
        case ConnectionClosed():
            return UpstreamFailed("closed_early", redacted(str(error), key))
    return UpstreamFailed("unreachable", redacted(f"{type(error).__name__}: {error}", key))
