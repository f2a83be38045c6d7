"""The contract between a wire protocol and the server that mounts it."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry
from starlette.datastructures import Headers
from starlette.routing import BaseRoute

from kani.core.service import SpeechService
from kani.protocols.shared.calls.call import CallGroup


class PathClass(Enum):
    """Access class of a path; ``kani.server.access`` holds the table of what each asks of a client."""

    PROTECTED = auto()
    """Every path without a class of its own."""

    PUBLIC = auto()
    """Nothing is checked, not even Host and Origin."""

    PAGE = auto()
    """GET and HEAD are public: a browser loads the page before it has a key to send."""

    LIST = auto()
    """GET and HEAD without a key get the public part of a list (``is_anonymous``); others are PROTECTED."""

    REQUIRES_KEY = auto()
    """A key is required on a loopback address too; ``public_token`` is one."""

    NO_KEY_WITH_PUBLIC_TOKEN = auto()
    """No key is required where ``public_token`` would be accepted."""


KEY_HEADERS = ("xi-api-key", "kyutai-api-key", "api-key")
KEY_PROTOCOLS = ("Bearer.", "bearer.", "openai-insecure-api-key.")
"""Prefixes of a key among the sub-protocols: a browser's WebSocket can send no other header."""

KEY_PARAMETERS = ("auth_id", "token", "authorization", "single_use_token")

MAX_MESSAGE_BYTES = 16 << 20
"""Bytes of a WebSocket message or an HTTP body, where the protocol has no limit of its own."""

UNREAD_S = 300.0
"""Longest time that a client may read nothing of what is sent to it. Long on purpose: a client that reads as
it plays answers a ping only after the audio that was sent before."""

ANONYMOUS = "anonymous"
"""Entry of the scope of a request on a LIST path that needed a key and brought none."""


def is_anonymous(scope: Mapping[str, Any]) -> bool:
    """Return True if a request may see only what is public: names, but no voice that a client stored."""
    return bool(scope.get(ANONYMOUS))


BREAK_OFF = "kani.break_off"
"""Entry of ``scope["extensions"]`` of HTTP; its ``call`` ends the connection; see ``break_off``."""

STRAIGHT_SEND = "straight_send"
"""Entry of a WebSocket's ``scope["state"]``: ``send`` for the messages between its accept and its close, past
all middleware that has nothing to do for these."""


def break_off(scope: Mapping[str, Any]) -> None:
    """End a response that has begun without its last chunk, so that its client sees that it is incomplete."""
    if (extension := scope.get("extensions", {}).get(BREAK_OFF)) is not None:
        extension["call"]()


class CompatPort(NamedTuple):
    """A further port, on which the clients of another server look for the protocol."""

    setting: str  # name of the setting that holds its number
    scheme: str  # "ws" or "http"
    protocol: str  # name shown in the start banner
    root_path: str = ""  # path that a WebSocket on `/` stands for on this port, if not Kani's
    after: int = 0  # added to the number that is set; a free one where that is 0 or too large

    @property
    def name(self) -> str:
        """Name that tells it from the others."""
        return f"{self.setting}+{self.after}" if self.after else self.setting


METRICS_PORT = CompatPort("metrics_port", "http", "metrics")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that is answered before its protocol sees it."""

    status: int  # HTTP status
    reason: str  # one sentence for the client
    call: str = ""  # method and path, where the path or the method is not served


RefusalBody = Callable[[Refusal], dict[str, Any]]
"""JSON body of a refusal."""


@dataclass(frozen=True, slots=True)
class Context:
    """Objects of the server that the routes of a protocol use."""

    service: SpeechService
    registry: CollectorRegistry  # for the protocol's own metrics
    ports: Mapping[str, int] = field(default_factory=dict)
    """Ports that are open: ``port``, and those of each ``CompatPort`` by its name."""


@dataclass(frozen=True, slots=True)
class ByteStream:
    """One TCP connection of a protocol that is neither HTTP nor WebSocket."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    client: str  # IP address that the client's rate limit counts by
    ended: asyncio.Event  # set once the client has ended its side, even if its input is not read yet

    set_busy: Callable[[bool], None]
    """Set whether a request is under way; other connections may be closed to make room for new ones."""

    set_receiving: Callable[[bool], None]
    """Set whether a part of an event has come; the rest has to come in time. The time for the first event
    begins with the connection."""

    hold: Callable[[int], bool]
    """Hold ``size`` bytes of unfinished input that have come, instead of what was held before. Returns False
    where the server has no room for them."""

    rest: Callable[[], Awaitable[None]]
    """Let others have their turn, after an event is handled: events that have come already would be handled
    without a break."""


ServeStream = Callable[[ByteStream], Awaitable[None]]
"""Serves one connection; the connection is closed when it returns."""

Addresses = Sequence[tuple[str, int]]
"""IP addresses and ports that a server listens on, such as ``0.0.0.0``."""


@dataclass(frozen=True, slots=True)
class StreamPort:
    """A port of a protocol that is neither HTTP nor WebSocket, so without keys, Host, Origin and TLS.

    It is opened with the option of its own, on a loopback address also with KANI_COMPAT. On any other address
    only clients of the networks in the setting ``allow`` are served.
    """

    name: str  # of the protocol, for the start banner
    port: str  # name of the setting that holds its number
    option: str  # name of the setting that opens it
    allow: str  # name of the setting that lists networks
    max_line: int  # bytes that ``StreamReader.readline`` accepts
    serve: Callable[[Context], ServeStream]
    advertise: Callable[[Addresses], AbstractAsyncContextManager[None]]
    """Announces the port to the local network while the server is ready; called where it is not loopback."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """One wire protocol as the server mounts it."""

    routes: Callable[[Context], list[BaseRoute]]
    ports: tuple[CompatPort, ...] = ()  # opened with KANI_COMPAT
    streams: tuple[StreamPort, ...] = ()
    paths: Mapping[str, PathClass] = field(default_factory=dict)  # paths that are not PROTECTED
    key_in_first_message: tuple[str, ...] = ()
    """Path prefixes of WebSockets that take a key in the client's first message. Such a connection
    without a valid key gets ``scope["key_check"]``, a function that tells whether a key is one."""

    temporary_keys: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)
    """By path ("{…}" as a segment stands for any), a function that tells whether a key that the protocol has
    issued is valid there."""

    refusals: Mapping[str, RefusalBody] = field(default_factory=dict)
    """JSON bodies by path prefix; the first prefix that fits counts, ``plain_refusal`` where none does."""

    max_message: Mapping[str, int] = field(default_factory=dict)
    """Bytes of a message by WebSocket path; ``MAX_MESSAGE_BYTES`` bounds all other paths."""

    max_body: Mapping[str, int] = field(default_factory=dict)
    """Bytes of an HTTP body by path, instead of ``MAX_MESSAGE_BYTES``, for routes that keep a body on disk
    while it comes: it does not count towards the memory of all unfinished bodies."""

    one_process: Sequence[str] = ()
    """Prefixes of paths with state that only one process of a server has; or of methods and paths, as
    "POST /a"; or a path and a parameter of its query, as "/a?id". With ``--fronts`` they are handed over."""

    saves: Sequence[str] = ()
    """Texts of clients that it writes to files, and their places, for the start banner."""

    health_fields: Callable[[], Mapping[str, Any]] = dict  # added to the answer of GET /health
    calls: Callable[[], CallGroup | None] = lambda: None
    """Describes its HTTP calls for the OpenAPI document; called when that is first read."""


def plain_refusal(refusal: Refusal) -> dict[str, Any]:
    """Return the JSON body of a refusal, for a protocol without a body of its own."""
    return {"error": {"message": refusal.reason}}


def offered_keys(headers: Headers, query: bytes) -> list[str]:
    """Return what a request offers as a key, in all places where one may be."""
    given = [value.partition(" ") for value in headers.getlist("authorization")]
    offered = [key.strip() for scheme, _, key in given if scheme.lower() == "bearer"]
    offered += [key for name in KEY_HEADERS for key in headers.getlist(name)]
    protocols = [name.strip() for name in ",".join(headers.getlist("sec-websocket-protocol")).split(",")]
    offered += [
        name.removeprefix(prefix) for name in protocols for prefix in KEY_PROTOCOLS if name.startswith(prefix)
    ]
    parameters = parse_qs(query.decode("latin-1"))
    return offered + [value for name in KEY_PARAMETERS for value in parameters.get(name, [])]


def offered_passwords(headers: Headers) -> list[str]:
    """Return the passwords of Basic authentication: clients without a field for a key send http://any:KEY@host.

    They are no sign of a client with a key: a proxy in front may have asked for them.
    """
    given = [value.partition(" ") for value in headers.getlist("authorization")]
    return [_password(key) for scheme, _, key in given if scheme.lower() == "basic"]


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
