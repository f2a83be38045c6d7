"""Ephemeral keys of Realtime: a backend makes one with its own key, a browser opens sessions by it."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from protocols.openai.errors import ApiError, endpoint, json_response
from protocols.openai.realtime.client_events import EventError, convert
from protocols.openai.realtime.server_events import new_id
from protocols.openai.realtime.session_config import SessionConfig, SessionKind, initial_config
from protocols.openai.realtime.session_update import updated_config
from protocols.shared.json_input import parse_object
from speech.service import SpeechService

PREFIX = "ek_"
MAX_SECRETS = 1000
"""Keys that are valid at once, over all clients."""

MIN_LIFE_S, MAX_LIFE_S, DEFAULT_LIFE_S = 10, 7200, 600
MAX_BODY_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Issued:
    """An ephemeral key with its end (seconds since 1970) and the configuration of its sessions."""

    value: str
    expires_at: int
    config: SessionConfig


class SecretStore:
    """The keys that are valid, by their digests. clock: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._issued: dict[bytes, tuple[int, SessionConfig]] = {}

    def issue(self, config: SessionConfig, life_s: int) -> Issued:
        """Make a key that is valid for ``life_s`` seconds. Raises ApiError while there are too many."""
        now = self._clock()
        self._issued = {key: kept for key, kept in self._issued.items() if kept[0] > now}
        if len(self._issued) >= MAX_SECRETS:
            raise ApiError(429, f"too many client secrets are valid (at most {MAX_SECRETS})")
        value = PREFIX + secrets.token_hex(24)
        expires_at = int(now) + life_s
        self._issued[_digest(value)] = (expires_at, config)
        return Issued(value, expires_at, config)

    def is_valid(self, key: str) -> bool:
        """Return True if ``key`` was issued and has not expired."""
        return self.find(key) is not None

    def find(self, key: str) -> SessionConfig | None:
        """Return the configuration of a valid key, else None."""
        if not key.startswith(PREFIX):
            return None
        expires_at, config = self._issued.get(_digest(key), (0, None))
        return config if expires_at > self._clock() else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


class _ExpiresAfter(Struct):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=MIN_LIFE_S, le=MAX_LIFE_S)] = DEFAULT_LIFE_S


class _SecretBody(Struct):
    expires_after: _ExpiresAfter | None = None
    session: dict[str, Any] | None = None


def secret_routes(service: SpeechService, store: SecretStore, session_s: float) -> list[BaseRoute]:
    """Return the routes that make keys; session_s: longest life of a session."""

    def languages() -> Collection[str]:
        return service.recognizer.info.languages if service.recognizer is not None else frozenset()

    async def create_secret(request: Request) -> Response:
        body = await _read_body(request)
        try:
            given = convert(body, _SecretBody, "body")
        except EventError as error:
            raise _api_error(error) from error
        session = given.session or {}
        config = _config(session, "session", languages())
        issued = store.issue(config, (given.expires_after or _ExpiresAfter()).seconds)
        written = config.as_json(new_id("sess"), int(time.time() + session_s))
        return json_response({"value": issued.value, "expires_at": issued.expires_at, "session": written})

    def create_session(kind: SessionKind) -> Callable[[Request], Any]:
        async def create(request: Request) -> Response:
            body = await _read_body(request)
            config = _config({"type": kind, **body}, "body", languages())
            issued = store.issue(config, DEFAULT_LIFE_S)
            written = config.as_beta_json(new_id("sess"), int(time.time() + session_s))
            secret = {"value": issued.value, "expires_at": issued.expires_at}
            return json_response({**written, "client_secret": secret})

        return create

    return [
        Route(f"/v1/realtime/{name}", endpoint(handler), methods=["POST"])
        for name, handler in (
            ("client_secrets", create_secret),
            ("sessions", create_session("realtime")),
            ("transcription_sessions", create_session("transcription")),
        )
    ]


async def _read_body(request: Request) -> dict[str, Any]:
    body = await request.body()
    if len(body) > MAX_BODY_BYTES:
        raise ApiError(413, f"the body is too large (at most {MAX_BODY_BYTES >> 10} KiB)")
    try:
        return parse_object(body.decode()) if body.strip() else {}
    except ValueError as error:
        raise ApiError(400, "the body is not a JSON object", code="invalid_json") from error


def _config(session: dict[str, Any], root: str, languages: Collection[str]) -> SessionConfig:
    kind: SessionKind = "transcription" if session.get("type") == "transcription" else "realtime"
    model = session.get("model")
    try:
        initial = initial_config(kind, model if isinstance(model, str) else None)
        return updated_config(initial, session, languages, root)
    except EventError as error:
        raise _api_error(error) from error


def _api_error(error: EventError) -> ApiError:
    param = error.param.removeprefix("body.") if error.param else None
    return ApiError(400, str(error).removeprefix("body."), param, error.code)
