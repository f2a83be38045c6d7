"""Errors of clients' messages and HTTP requests, and how they are answered."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kani.core.errors import Reason, UnknownVoice

VOICES_PATH = "/v1/audio/voices"  # of the list that the error of an unknown voice names

Handler = Callable[[Request], Awaitable[Response]]

_CODES = {
    404: "not_found",
    409: "name_taken",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "service_unavailable",
}
"""Code of the error, as OpenAI's clients read it, by the status; "invalid_value" for others below 500."""


class BadMessage(Exception):
    """A client's message, query or body that cannot be served; ``str()`` names the field and the limit."""


class RequestError(Exception):
    """A request that is answered with an error; ``response`` has the shape that OpenAI's clients read.

    param: the field at fault, if any; reason: for clients that show it in another language.
    """

    def __init__(
        self, status: int, message: str, param: str | None = None, reason: Reason | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.reason = status, param, reason

    def as_json(self) -> dict[str, Any]:
        """Return the error object that a client gets."""
        server = self.status >= 500
        content: dict[str, Any] = {
            "message": encodable(str(self)),
            "type": "server_error" if server else "invalid_request_error",
            "param": self.param,
            "code": _CODES.get(self.status, None if server else "invalid_value"),
        }
        return content if self.reason is None else content | {"reason": self.reason.as_json()}

    def response(self) -> Response:
        """Return the answer."""
        # A name that is taken stays taken, and a disk that is full stays full.
        headers = {"x-should-retry": "false"} if self.status in (409, 507) else {}
        headers |= {"retry-after": "1"} if self.status in (429, 503) else {}
        return JSONResponse({"error": self.as_json()}, self.status, headers)


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
