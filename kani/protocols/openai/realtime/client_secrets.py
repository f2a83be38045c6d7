"""Ephemeral keys of Realtime: a backend makes one with its own key, a browser opens sessions by it."""

import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.conversation.items import new_id
from kani.core.service import SpeechService
from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.realtime.client_events import EventError, convert
from kani.protocols.openai.realtime.session_config import SessionConfig, SessionKind, initial_config
from kani.protocols.openai.realtime.session_update import check_voice, heard_languages, updated_config
from kani.protocols.openai.speech.body import read_object
from kani.protocols.shared.errors import RequestError, json_response
from kani_text import foreign

PREFIX = "ek_"
SIGNATURE_BYTES = 32
MIN_LIFE_S, MAX_LIFE_S, DEFAULT_LIFE_S = 10, 7200, 600
MAX_BODY_BYTES = 65_536
_SECRET = secrets.token_bytes(32)  # of all processes of this server: they are forked after this import


@dataclass(frozen=True, slots=True)
class Issued:
    """An ephemeral key with its end (seconds since 1970) and the configuration of its sessions."""

    value: str
    expires_at: int
    config: SessionConfig


class _Content(Struct, array_like=True):
    """Content of a key. The number makes it unique."""

    expires_at: int
    number: bytes
    config: SessionConfig


class EphemeralKeys:
    """Makes keys that hold their own end and configuration, so that none is kept and their number is free.

    A key is URL-safe Base64 of HMAC-SHA256 under a secret of this server, and of the content it signs.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """clock: seconds since 1970."""
        self._clock = clock
        self._secret = _SECRET

    def issue(self, config: SessionConfig, life_s: int) -> Issued:
        expires_at = int(self._clock()) + life_s
        content = msgspec.msgpack.encode(_Content(expires_at, secrets.token_bytes(16), config))
        return Issued(_written(self._signature(content) + content), expires_at, config)

    def is_valid(self, key: str) -> bool:
        return self.find(key) is not None

    def find(self, key: str) -> SessionConfig | None:
        if not key.startswith(PREFIX) or not key.isascii():
            return None
        encoded = key.removeprefix(PREFIX)
        try:
            signed = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except ValueError:
            return None
        signature, content = signed[:SIGNATURE_BYTES], signed[SIGNATURE_BYTES:]
        # Base64 has further ways to write the same bytes.
        if not hmac.compare_digest(signature, self._signature(content)) or _written(signed) != key:
            return None
        found = msgspec.msgpack.decode(content, type=_Content)
        return found.config if found.expires_at > self._clock() else None

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._secret, content, "sha256")


def _written(signed: bytes) -> str:
    return PREFIX + urlsafe_b64encode(signed).rstrip(b"=").decode()


class _ExpiresAfter(Struct):
    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=MIN_LIFE_S, le=MAX_LIFE_S)] = DEFAULT_LIFE_S


class _SecretBody(Struct):
    expires_after: _ExpiresAfter | None = None
    session: dict[str, Any] | None = None


def secret_routes(
    service: SpeechService, keys: EphemeralKeys, session_s: float, instructions: str | None
) -> list[BaseRoute]:
    """Return the routes that make keys.

    session_s: longest life of a session; instructions: as for ``initial_config``.
    """

    async def create_secret(request: Request) -> Response:
        body = await read_body(request, MAX_BODY_BYTES)
        try:
            given = convert(body, _SecretBody, "body")
        except EventError as error:
            raise as_api_error(error) from error
        session = given.session or {}
        config = await _config(service, session, "session", instructions)
        issued = keys.issue(config, (given.expires_after or _ExpiresAfter()).seconds)
        written = config.as_json(new_id("sess"), int(time.time() + session_s))
        return json_response({"value": issued.value, "expires_at": issued.expires_at, "session": written})

    def create_session(kind: SessionKind) -> Callable[[Request], Any]:
        async def create(request: Request) -> Response:
            body = await read_body(request, MAX_BODY_BYTES)
            config = await _config(service, {"type": kind, **body}, "body", instructions)
            issued = keys.issue(config, DEFAULT_LIFE_S)
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


async def read_body(request: Request, limit: int) -> dict[str, Any]:
    """Return the JSON object of a request, empty without a body; limit: bytes. Raises RequestError."""
    body = await bounded_body(request, limit)
    # A key's content has to have UTF-8.
    return foreign.without_halves(read_object(body)) if body.strip() else {}


async def bounded_body(request: Request, limit: int) -> bytes:
    """Return the body of a request; limit: bytes. Raises RequestError."""
    body = await request.body()
    if len(body) > limit:
        raise RequestError(413, f"the body is too large (at most {limit >> 10} KiB)")
    return body


async def _config(
    service: SpeechService, session: dict[str, Any], root: str, instructions: str | None
) -> SessionConfig:
    kind: SessionKind = "transcription" if session.get("type") == "transcription" else "realtime"
    model = session.get("model")
    try:
        initial = initial_config(kind, model if isinstance(model, str) else None, instructions)
        config = updated_config(initial, session, heard_languages(service), root)
        await check_voice(service, config, session, root)
    except EventError as error:
        raise as_api_error(error) from error
    return config


def as_api_error(error: EventError) -> RequestError:
    """Return the answer to a call with an error in its session object."""
    param = error.param.removeprefix("body.") if error.param else None
    return RequestError(400, str(error).removeprefix("body."), param, error.code)
