"""Errors of clients' messages and HTTP requests, and how they are answered."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from kani.core.errors import Reason, UnknownVoice

VOICES_PATH = "/v1/audio/voices"  # of the list that the error of an unknown voice names

Handler = Callable[[Request], Awaitable[Response]]

_CODES = {
    400: "invalid_value",
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "service_unavailable",
}
"""Code of each status that has one of its own, as OpenAI's clients read it."""

_TYPES = {429: "rate_limit_error"}
"""Type of each status below 500 that has one of its own."""

RETRY_AFTER_S = 1
"""Seconds that ``retry-after`` asks for: a place is free again as soon as a segment has been spoken."""


class BadMessage(Exception):
    """A client's message, query or body that cannot be served; ``str()`` names the field and the limit."""


class RequestError(Exception):
    """A request that is answered with an error; ``response`` has the shape that OpenAI's clients read.

    param: the field at fault, if the error is about one; code: name of the error, that of the status if not
    given; reason: for clients that show it in another language; retry: whether the same request may succeed
    later, by default what the status implies: a disk that is full (507) stays full. OpenAI's SDKs retry 408,
    409, 429 and every status from 500 on, unless ``x-should-retry`` says otherwise.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        *,
        reason: Reason | None = None,
        retry: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.reason = status, param, reason
        self.code = code or _CODES.get(status)
        self.retry = (status == 429 or 500 <= status != 507) if retry is None else retry

    def as_json(self) -> dict[str, Any]:
        """Return the error object that a client gets."""
        kind = "server_error" if self.status >= 500 else _TYPES.get(self.status, "invalid_request_error")
        content: dict[str, Any] = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return content if self.reason is None else content | {"reason": self.reason.as_json()}

    def response(self, content: Any = None) -> Response:
        """Return the answer, with a header if the request is not to be repeated.

        content: instead of the error object.
        """
        headers = {} if self.retry else {"x-should-retry": "false"}
        return json_response(content or {"error": self.as_json()}, self.status, headers)


def field_error(field: str, reason: str, code: str = "invalid_value") -> RequestError:
    """Return the error of a field."""
    return RequestError(400, f"{field}: {reason}", field, code)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON, with "?" for half a surrogate pair, and for 429 and 503 when to try again."""
    retry = {"retry-after": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, status, retry | dict(headers or {}), "application/json")


def unknown_voice(error: UnknownVoice) -> str:
    """Say that a voice is not there, and where those are that are."""
    return f"{error.reason}; GET {VOICES_PATH} lists the voices"


def answering(handler: Handler, refuse: Callable[[Any], Response], *kinds: type[Exception]) -> Handler:
    """Wrap a handler so that ``refuse`` answers its errors of these kinds."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except kinds as error:
            return refuse(error)

    return handle


def encodable(text: str) -> str:
    """Return text with "?" for half a surrogate pair of a client's, which cannot be encoded."""
    return text.encode("utf-8", "replace").decode()
