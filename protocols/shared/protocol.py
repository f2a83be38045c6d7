"""The contract between a wire protocol and the server that mounts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from starlette.routing import BaseRoute

from speech.service import SpeechService


class PathClass(Enum):
    """Access class of a path; ``server.access`` holds the table of what each asks of a client."""

    PROTECTED = auto()
    """Every path without a class of its own."""

    PUBLIC = auto()
    """Nothing is checked, not even Host and Origin."""

    PAGE = auto()
    """GET and HEAD are public: a browser loads the page before it has a key to send."""

    REQUIRES_KEY = auto()
    """A key is required on a loopback address too; ``public_token`` is one."""

    NO_KEY_WITH_PUBLIC_TOKEN = auto()
    """No key is required where ``public_token`` would be accepted."""


class CompatPort(NamedTuple):
    """A further port, on which the clients of another server look for the protocol."""

    setting: str  # name of the setting that holds its number
    scheme: str  # "ws" or "http"
    protocol: str  # name shown in the start banner
    root_path: str = ""  # path that a WebSocket on `/` stands for on this port, if not Kani's


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


@dataclass(frozen=True, slots=True)
class Protocol:
    """One wire protocol as the server mounts it."""

    routes: Callable[[Context], list[BaseRoute]]
    ports: tuple[CompatPort, ...] = ()  # opened with KANI_COMPAT
    paths: Mapping[str, PathClass] = field(default_factory=dict)  # paths that are not PROTECTED
    key_in_first_message: tuple[str, ...] = ()
    """Path prefixes of WebSockets whose clients may send their key in their first message. Such a connection
    without a valid key gets ``scope["key_check"]``, a function that tells whether a key is one."""

    refusals: Mapping[str, RefusalBody] = field(default_factory=dict)
    """JSON bodies by path prefix; the first prefix that fits counts, ``plain_refusal`` where none does."""

    max_message: Mapping[str, int] = field(default_factory=dict)
    """Bytes of a message by WebSocket path; KANI_MAX_MESSAGE_BYTES bounds all other paths."""

    max_body: Mapping[str, int] = field(default_factory=dict)
    """Bytes of an HTTP body by path, in place of KANI_MAX_MESSAGE_BYTES, for routes that keep a body on disk
    while it comes: it does not count towards the memory of all unfinished bodies."""

    health_fields: Callable[[], Mapping[str, Any]] = dict  # added to the answer of GET /health


def plain_refusal(refusal: Refusal) -> dict[str, Any]:
    """Return the JSON body of a refusal on a path whose protocol has no body of its own."""
    return {"error": {"message": refusal.reason}}
