"""Access control: API keys, Origin and Host of every request and WebSocket handshake.

On a loopback address programs of this machine need no key. Two kinds of requests reach such a server that
are not theirs: those of a web page from elsewhere in this machine's browser, known by its Origin or, where it
made its own name resolve to this machine (DNS rebinding), by the Host it asks for; and those that a proxy
passes on, known by the headers that proxies add. On any other address a key is required, unless the server
runs with --no-auth; Host is checked there too.

``REQUIREMENTS`` is the whole decision about keys, a row for each audience and a column for each class of
paths. Kyutai's clients always send a key, ``public_token`` by default. It is no secret, so it counts only on
the paths of their protocol.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kani.core.shared_numbers import Number
from kani.protocols.shared.protocol import (
    ANONYMOUS,
    PathClass,
    Refusal,
    RefusalBody,
    offered_keys,
    offered_passwords,
    plain_refusal,
)
from kani.runtime.host_names import host_name, is_ip_address, is_loopback
from kani.server.network.upload_budget import UNAUTHENTICATED
from websocket_config import PUBLIC_TOKEN

PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"})
PROXY_PREFIX = "x-forwarded-"

READING = ("GET", "HEAD")
"""Methods that change nothing."""

MAX_UNAUTHENTICATED = 64
"""Limit on WebSockets with a key still to come in a message: they shall not use up the connections of
others."""

UNAUTHENTICATED_SECONDS = 15.0
"""Longest life of each (seconds): a protocol waits 10 s for the key, and its refusal may never be read."""


class Audience(Enum):
    """Rows of the table: the address of the server and the origin of a request."""

    ANY = auto()
    """Any client of a server with --no-auth."""

    LOCAL = auto()
    """A program of this machine at a loopback address."""

    REMOTE = auto()
    """Any other client: on another machine, or passed on by a proxy."""

    REMOTE_PUBLIC_TOKEN = auto()
    """The same, where the server's keys list ``public_token``."""


class Requirement(Enum):
    """Key that a request has to bring."""

    NONE = auto()
    SECRET_KEY = auto()
    """One of the server's keys, ``public_token`` excluded; 403 where the server has no keys."""

    ANY_KEY = auto()
    """One of the server's keys, or ``public_token``."""


_NONE, _SECRET, _ANY = Requirement.NONE, Requirement.SECRET_KEY, Requirement.ANY_KEY
_COLUMNS = (PathClass.PROTECTED, PathClass.REQUIRES_KEY, PathClass.NO_KEY_WITH_PUBLIC_TOKEN)

REQUIREMENTS: Mapping[Audience, Mapping[PathClass, Requirement]] = {
    audience: dict(zip(_COLUMNS, row, strict=True))
    for audience, row in {
        # PROTECTED, REQUIRES_KEY, NO_KEY_WITH_PUBLIC_TOKEN
        Audience.ANY: (_NONE, _NONE, _NONE),
        Audience.LOCAL: (_NONE, _ANY, _NONE),
        Audience.REMOTE: (_SECRET, _SECRET, _SECRET),
        Audience.REMOTE_PUBLIC_TOKEN: (_SECRET, _ANY, _NONE),
    }.items()
}
"""Key required of each audience on each class of paths. PUBLIC paths, and GET of a PAGE, are not checked at
all; other requests on the path of a PAGE, and all on that of a LIST, count as PROTECTED."""


def is_proxied(headers: Headers) -> bool:
    """Return True if a proxy added one of its headers to a request."""
    return any(name in PROXY_HEADERS or name.startswith(PROXY_PREFIX) for name in headers)


@dataclass(frozen=True, slots=True)
class AccessRules:
    loopback: bool  # the server listens on a loopback address only
    keys: tuple[str, ...] = field(default=(), repr=False)
    no_auth: bool = False
    allowed_origins: frozenset[str] = frozenset()  # further web pages: ``https://host[:port]`` or ``null``
    allowed_hosts: frozenset[str] = frozenset()  # further names of this server, without a port
    machine_names: frozenset[str] = frozenset()  # lower case; ignored on a loopback address
    paths: Mapping[str, PathClass] = field(default_factory=dict)
    """Classes of the paths; "{…}" as a segment stands for any. All others are PROTECTED."""

    key_in_first_message: tuple[str, ...] = ()  # path prefixes, see ``Protocol``
    temporary_keys: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)  # see ``Protocol``

    def check(self, headers: Headers, query: bytes, path: str, method: str = "") -> Refusal | None:
        """Return None if a request may pass, else the refusal: 401 for a missing key, 403 for the rest.

        method: of an HTTP request; empty for a WebSocket handshake.
        """
        path_class = self.class_of(path)
        if path_class is PathClass.PUBLIC:
            return None
        if path_class is PathClass.PAGE:
            if method in READING:
                return None
            path_class = PathClass.PROTECTED
        if path_class is PathClass.LIST:
            path_class = PathClass.PROTECTED
        required = REQUIREMENTS[self.audience(headers)][path_class]
        # A page from elsewhere has no secret key, whatever name it made resolve to this machine.
        any_host = required is Requirement.SECRET_KEY and not self.loopback
        return self._check_page(headers, any_host=any_host) or self._check_key(headers, query, path, required)

    def serves_anonymously(self, headers: Headers, query: bytes, path: str, method: str) -> bool:
        """Return True if a request without a valid key may read the public part of a list.

        A key that is not valid is refused on a list too, so that clients can test theirs there.
        """
        is_list = self.class_of(path) is PathClass.LIST and method in READING
        return is_list and not any(map(str.strip, offered_keys(headers, query)))

    def class_of(self, path: str) -> PathClass:
        if (exact := self.paths.get(path)) is not None:
            return exact
        given = path.split("/")
        fitting = (each for pattern, each in self.paths.items() if "{" in pattern and _fits(given, pattern))
        return next(fitting, PathClass.PROTECTED)

    def audience(self, headers: Headers) -> Audience:
        """Return the row of ``REQUIREMENTS`` that a request falls into."""
        if self.no_auth:
            return Audience.ANY
        if self.loopback and not is_proxied(headers) and not self._may_be_silent_proxy(headers):
            return Audience.LOCAL
        return Audience.REMOTE_PUBLIC_TOKEN if PUBLIC_TOKEN in self.keys else Audience.REMOTE

    def is_key(self, key: str) -> bool:
        """Return True if ``key`` is one of the server's, ``public_token`` excluded."""
        return _is_known([key], self._secret_keys)

    def origin_allowed(self, origin: str, own_hosts: Container[str] = ()) -> bool:
        """Return True if a page of ``origin`` may use this server; ``own_hosts`` serve its own pages."""
        origin = origin.lower()
        netloc = origin.partition("://")[2]
        return origin in self.allowed_origins or is_loopback(host_name(netloc)) or netloc in own_hosts

    @property
    def _secret_keys(self) -> set[str]:
        return {*self.keys} - {PUBLIC_TOKEN}

    def _check_page(self, headers: Headers, *, any_host: bool) -> Refusal | None:
        """Refuse what a web page from elsewhere may have caused."""
        hosts = headers.getlist("host")
        if not any_host and not (hosts and all(self._is_own_name(host_name(host)) for host in hosts)):
            return Refusal(403, "unknown Host: KANI_ALLOWED_HOSTS lists further names of this server")
        own = [host.lower() for host in hosts]
        if not all(self.origin_allowed(origin, own) for origin in headers.getlist("origin")):
            return Refusal(403, "origin not allowed: KANI_ALLOWED_ORIGINS lists further web pages")
        # Browsers send no Origin for an embedded image or recording.
        if "origin" not in headers and headers.get("sec-fetch-site", "").lower() == "cross-site":
            return Refusal(403, "cross-site request: web pages of other sites may not embed or link to this")
        return None

    def _check_key(self, headers: Headers, query: bytes, path: str, required: Requirement) -> Refusal | None:
        if required is Requirement.NONE:
            return None
        any_key = required is Requirement.ANY_KEY
        offered = [*offered_keys(headers, query), *offered_passwords(headers)]
        if _is_known(offered, {*self.keys, PUBLIC_TOKEN} if any_key else self._secret_keys):
            return None
        temporary = [valid for known, valid in self.temporary_keys.items() if _fits(path.split("/"), known)]
        if any(valid(key) for valid in temporary for key in offered):
            return None
        if not (self.keys or any_key):
            return Refusal(403, "unauthorized proxy: KANI_API_KEYS or --no-auth lets its clients in")
        ways = "Authorization: Bearer KEY, xi-api-key: KEY, kyutai-api-key: KEY, api-key: KEY or ?token=KEY"
        known = f" (here also {PUBLIC_TOKEN}, the one that Kyutai's clients send)" if any_key else ""
        return Refusal(401, f"a key is needed{known}: {ways}")

    def _is_own_name(self, name: str) -> bool:
        # Without a secret key only names count that no web page can make resolve to this machine: an IP
        # address, or a name that the machine or its administrator gave.
        if is_loopback(name) or name in self.allowed_hosts:
            return True
        return not self.loopback and (is_ip_address(name) or name in self.machine_names)

    def _may_be_silent_proxy(self, headers: Headers) -> bool:
        # A listed name that is not a loopback one most likely belongs to a proxy that adds no header.
        return bool(self.keys) and any(not is_loopback(host_name(host)) for host in headers.getlist("host"))


def _fits(given: list[str], pattern: str) -> bool:
    """Return True if the segments of a path are those of ``pattern``."""
    segments = pattern.split("/")
    return len(segments) == len(given) and all(
        one == other or one.startswith("{") for one, other in zip(segments, given, strict=True)
    )


def _is_known(offered: Iterable[str], keys: Iterable[str]) -> bool:
    # Digests have one length and every pair is compared, so the time reveals nothing about a key.
    known = [hashlib.sha256(key.encode()).digest() for key in keys]
    given = [hashlib.sha256(form).digest() for key in offered for form in _encodings(key)]
    return sum(hmac.compare_digest(one, other) for one in given for other in known) > 0


def _encodings(key: str) -> list[bytes]:
    """Return the bytes that ``key`` may stand for: headers are decoded as Latin-1, whatever they were."""
    encodings = [key.encode("utf-8", "surrogatepass")]
    with suppress(UnicodeEncodeError):
        encodings.append(key.encode("latin-1"))
    return encodings


@dataclass(eq=False)
class AccessMiddleware:
    """Answers every request that ``rules`` refuse, before any WebSocket upgrade."""

    app: ASGIApp
    rules: AccessRules
    refusal_bodies: Mapping[str, RefusalBody] = field(default_factory=dict)
    """JSON bodies by path prefix, ``plain_refusal`` elsewhere."""
    max_unauthenticated: int = MAX_UNAUTHENTICATED  # WebSockets with a key still to come in a message
    unauthenticated_s: float = UNAUTHENTICATED_SECONDS  # longest life of each, its close included
    _unauthenticated: Number = field(default_factory=lambda: Number("unauthenticated WebSockets"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        # Starlette's routes end in "$", which also matches before a trailing line break.
        path = scope["path"].rstrip("\n")
        headers = Headers(scope=scope)
        method = scope["method"] if scope["type"] == "http" else ""
        refusal = self.rules.check(headers, scope["query_string"], path, method)
        if refusal is None:
            await self.app(scope, receive, send)
        elif refusal.status == 401 and self._may_authenticate_later(scope["type"], path):
            await self._authenticate_later(scope, receive, send)
        elif refusal.status == 401 and self.rules.serves_anonymously(
            headers, scope["query_string"], path, method
        ):
            await self.app({**scope, ANONYMOUS: True}, receive, send)
        else:
            challenge = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
            body = refusal_body(self.refusal_bodies, path)(refusal)
            await JSONResponse(body, refusal.status, challenge)(scope, receive, send)

    def _may_authenticate_later(self, kind: str, path: str) -> bool:
        listed = path.startswith(self.rules.key_in_first_message)
        return kind == "websocket" and listed and self._unauthenticated.total < self.max_unauthenticated

    async def _authenticate_later(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket on with ``key_check``, and count it until a key passes or it ends."""
        counted = True
        self._unauthenticated.own += 1
        timeout = asyncio.timeout(self.unauthenticated_s)
        state = scope.setdefault("state", {})
        state[UNAUTHENTICATED] = True

        def is_key(key: str) -> bool:
            nonlocal counted
            valid = self.rules.is_key(key)
            if valid and counted:
                counted = False
                del state[UNAUTHENTICATED]
                self._unauthenticated.own -= 1
                if not timeout.expired():
                    timeout.reschedule(None)
            return valid

        try:
            async with timeout:
                await self.app({**scope, "key_check": is_key}, receive, send)
        except TimeoutError:
            if not timeout.expired():
                raise
        finally:
            self._unauthenticated.own -= counted
            counted = False


def refusal_body(bodies: Mapping[str, RefusalBody], path: str) -> RefusalBody:
    """Return the body for ``path``, from ``bodies`` by path prefix; ``plain_refusal`` if none fits."""
    return next((body for prefix, body in bodies.items() if path.startswith(prefix)), plain_refusal)
