"""Tokens for LiveKit rooms, as the relay's token server and LiveKit's standard endpoint return them.

``GET /token?identity=&room=`` is for the relay's app; ``POST /token`` is LiveKit's standard endpoint, for the
``TokenSource`` of its client libraries
(https://docs.livekit.io/frontends/build/authentication/endpoint); ``GET /debug`` reports whether tokens can
be made. A token is a JWT, signed here (HS256) with a key of the LiveKit server: that server is not
contacted. Errors are ``{"detail": …}`` with 400, 413 or 500.
"""

import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any
from unicodedata import category

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.protocols.livekit_tokens.plugin import Settings
from kani.protocols.shared.calls.bodies import parse_object
from kani.protocols.shared.calls.call import Body, Call, CallGroup, json_answer, query
from kani.protocols.shared.calls.schemas import fields, flag, mapping, nullable, text
from kani.protocols.shared.errors import Handler, RequestError, answering
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import Protocol
from kani_text import foreign

_ERRORS = (400, 413, 500)


def call_group() -> CallGroup:
    limit = f"At most {MAX_NAME_BYTES} bytes; made up by default."
    return CallGroup(
        "LiveKit",
        "Tokens for LiveKit rooms, signed with the key of the LiveKit server in the settings.",
        "LiveKitError",
        fields(detail=text("The error: field and limit.")),
        (
            Call(
                "GET /token",
                "Make a token, as the relay's app reads it",
                json_answer(
                    "The token.", fields(accessToken=text(), url=text(), room=text(), identity=text())
                ),
                parameters=query(identity=text(limit), room=text(limit)),
                errors=_ERRORS,
            ),
            Call(
                "POST /token",
                "Make a token by LiveKit's standard endpoint",
                {201: json_answer("The token.", fields(server_url=text(), participant_token=text()))},
                body=Body(
                    fields(
                        "Fields may have their names in camel case too.",
                        [],
                        room_name=text(limit),
                        participant_identity=text(limit),
                        participant_name=text(f"At most {MAX_NAME_BYTES} bytes."),
                        participant_metadata=text(),
                        participant_attributes=mapping("Texts by name.", text()),
                        room_config=mapping("Configuration of the room, without egress."),
                    ),
                    {"room_name": "reading", "participant_identity": "ana"},
                ),
                errors=_ERRORS,
            ),
            Call(
                "GET /debug",
                "Show whether tokens can be made",
                json_answer(
                    "The state.",
                    fields(
                        status=text(),
                        default_room=text(),
                        livekit_url=nullable(text()),
                        credentials_loaded=flag(),
                    ),
                ),
            ),
        ),
    )


log = logging.getLogger(__package__)

PATH = "/token"
TOKEN_SECONDS = 7200
"""Seconds during which a token is valid for entering its room, as the relay's are."""

MAX_NAME_BYTES = 256
"""Bytes of a room, an identity or a name: LiveKit's own limit."""

MAX_CLAIM_BYTES = 4096
"""Bytes of metadata, attributes and room configuration each: a token is sent in a URL."""

MAX_BODY_BYTES = 32 * 1024
MIN_SECRET_BYTES = 32
"""A shorter secret is weaker than HS256 itself (RFC 7518, section 3.2)."""

_NO_STORE = {"cache-control": "no-store"}
_UNWRITABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_CLAIMS: tuple[tuple[str, str, type, str], ...] = (
    ("metadata", "participant_metadata", str, "a text"),
    ("attributes", "participant_attributes", dict, "an object with texts as values"),
    ("roomConfig", "room_config", dict, "an object"),
)
"""Claims of a token, their fields, and what these have to be."""

Sign = Callable[[str, str, Mapping[str, Any]], str]


def protocol(settings: Settings, server: ServerSettings) -> Protocol:
    return Protocol(lambda context: routes(settings), calls=call_group)


def routes(settings: Settings) -> list[BaseRoute]:
    """Return the routes; log a warning about incomplete or weak settings, once."""
    _warn(settings)
    next_number = _numbers()

    async def relay_token(request: Request) -> Response:
        url, sign = _signer(settings)
        query, default = request.query_params, f"realtime-{next_number()}"
        identity = _name("identity", query.get("identity")) or default
        room = _name("room", query.get("room")) or default
        token = sign(identity, room, {})
        return _json({"accessToken": token, "url": url, "room": room, "identity": identity})

    async def standard_token(request: Request) -> Response:
        url, sign = _signer(settings)
        wanted, default = _TokenRequest(await _body(request)), f"realtime-{next_number()}"
        identity = wanted.name("participant_identity") or default
        room = wanted.name("room_name") or default
        return _json({"server_url": url, "participant_token": sign(identity, room, wanted.claims())}, 201)

    async def debug(request: Request) -> Response:
        loaded = bool(settings.api_key and settings.api_secret)
        # The room is that of the relay's token server; it is not used here.
        fields = {"status": "running", "default_room": "tts-reading-room", "livekit_url": settings.url}
        return _json(fields | {"credentials_loaded": loaded})

    return [
        Route(PATH, _endpoint(relay_token), methods=["GET"]),
        Route(PATH, _endpoint(standard_token), methods=["POST"]),
        Route("/debug", debug, methods=["GET"]),
    ]


def _warn(settings: Settings) -> None:
    given = (settings.url, settings.api_key, settings.api_secret)
    if any(given) and not all(given):
        log.warning(
            "/token needs all of LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET, and answers 500"
        )
    if not settings.api_secret:
        return
    # Loaded at the start, and only where tokens can be signed: it may bring cryptography.
    import jwt

    if len(settings.api_secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
        log.warning(
            "LIVEKIT_API_SECRET has fewer than %d characters: it could be guessed from any token",
            MIN_SECRET_BYTES,
        )
        # Logged here once: PyJWT would warn with every token.
        warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)


def _numbers() -> Callable[[], int]:
    """Return a function that returns increasing numbers, also across restarts.

    The relay's token server counts from 50 in a file. The time in milliseconds needs no file, and a client
    still in a room from before a restart stays the only one there.
    """
    last = 0

    def following() -> int:
        nonlocal last
        last = max(last + 1, time.time_ns() // 1_000_000)
        return last

    return following


def _signer(settings: Settings) -> tuple[str, Sign]:
    """Return the LiveKit server's URL, and a function that signs a token.

    Raises RequestError if the settings are incomplete.
    """
    key, secret = settings.api_key, settings.api_secret
    if not (key and secret):
        raise RequestError(500, "LiveKit credentials not configured. Check .env file.")
    if not settings.url:
        raise RequestError(500, "LiveKit URL not configured. Check .env file.")

    def sign(identity: str, room: str, further: Mapping[str, Any]) -> str:
        import jwt

        now = int(time.time())
        grant = {"roomJoin": True, "room": room}
        grant |= dict.fromkeys(("canPublish", "canSubscribe", "canPublishData"), True)
        times = {"nbf": now, "exp": now + TOKEN_SECONDS}
        claims = {"video": grant, "sub": identity, "iss": key, **times, **further}
        return jwt.encode(claims, secret.get_secret_value(), "HS256")

    return settings.url, sign


class _TokenRequest:
    """The body of a ``POST /token``: all fields are optional.

    It is a protobuf message as JSON: fields may have either name (``room_name``, ``roomName``), null and
    empty values mean no value, unknown fields are ignored.
    """

    def __init__(self, body: bytes) -> None:
        """Raises RequestError unless the body is a JSON object."""
        try:
            self._fields = parse_object(body) if body.strip() else {}
        except ValueError as error:
            raise RequestError(400, f"body: has to be a JSON object ({error})") from error

    def name(self, name: str) -> str | None:
        """Return the name of a room or participant, None if not given. Raises RequestError."""
        return _name(name, self._get(name))

    def claims(self) -> dict[str, Any]:
        """Return the token's claims besides identity and room. Raises RequestError."""
        found: dict[str, Any] = {"name": self.name("participant_name")}
        for claim, name, kind, expected in _CLAIMS:
            value = self._get(name)
            texts = value.values() if claim == "attributes" and isinstance(value, dict) else ()
            if not isinstance(value, kind | None) or not all(isinstance(text, str) for text in texts):
                raise RequestError(400, f"{name}: has to be {expected}")
            if claim == "roomConfig" and isinstance(value, dict) and "egress" in value:
                # It would have the LiveKit server record the room, and upload the recording anywhere.
                raise RequestError(400, f"{name}: egress is not a client's to ask for")
            found[claim] = _bounded(name, value)
        return {claim: value for claim, value in found.items() if value}

    def _get(self, name: str) -> Any:
        first, *others = name.split("_")
        other_name = first + "".join(word.capitalize() for word in others)
        return self._fields.get(name, self._fields.get(other_name))


def _name(field_name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    # _UNWRITABLE includes halves of surrogate pairs, so that the text can be encoded.
    good = isinstance(value, str) and value.strip() and not _UNWRITABLE.intersection(map(category, value))
    if not good or len(value.encode()) > MAX_NAME_BYTES:
        reason = f"has to be a text of at most {MAX_NAME_BYTES} bytes, without control characters"
        raise RequestError(400, f"{field_name}: {reason}")
    return str(value)


def _bounded(name: str, value: Any) -> Any:
    try:
        written = foreign.guarded(lambda: json.dumps(value, ensure_ascii=False).encode())
    except foreign.Unreadable as error:
        raise RequestError(400, f"{name}: {error}") from error
    if len(written) > MAX_CLAIM_BYTES:
        raise RequestError(400, f"{name}: too large (at most {MAX_CLAIM_BYTES} bytes as JSON)")
    return value


def _endpoint(handler: Handler) -> Handler:
    """Wrap an endpoint, turning its errors into a status and a sentence."""
    return answering(handler, lambda error: _json({"detail": str(error)}, error.status), RequestError)


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RequestError(413, f"body: too large (at most {MAX_BODY_BYTES // 1024} KiB)")
    return body


def _json(content: Mapping[str, Any], status: int = 200) -> Response:
    return JSONResponse(content, status, _NO_STORE)
