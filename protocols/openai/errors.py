"""Error answers of OpenAI's API: statuses, codes and bodies."""

from __future__ import annotations

from typing import Any

_CODES = {401: "invalid_api_key", 413: "request_too_large", 429: "rate_limit_exceeded"}
"""Code of each status that has one of its own."""


class ApiError(Exception):
    """A request that is answered with an error; ``str()`` is the message."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status  # of HTTP
        self.param = param  # the invalid field, if the error is about one
        self.code = code  # OpenAI's name of the error


def error_body(
    status: int, message: str, param: str | None = None, code: str | None = None
) -> dict[str, Any]:
    """Return OpenAI's error object; the code is that of ``status`` unless one is given."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _CODES.get(status)}}
