"""Who may come in: keys on the network, Origin and Host on a loopback address.

On a loopback address whoever is on this machine may come in without a key. What must not come in is
a web page from elsewhere that runs in this machine's browser: it is known by its Origin, and where
it made its own name point here (DNS rebinding), by the Host it asks for; and whoever comes through a
proxy, who is on any machine: known by the header a proxy adds. On any other address a key is asked
for, unless the server was told to ask nobody; then the Host is looked at there too.

A protocol can have paths with rules of their own (``Paths``). Kyutai's clients always send a key, which
is ``public_token`` where nobody chose another. As everybody knows it, it opens those paths alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from websocket_config import PUBLIC_TOKEN

KEY_HEADERS = ("xi-api-key", "kyutai-api-key")
KEY_PROTOCOL = "Bearer."
"""A browser can send no header with a WebSocket but the names of protocols: the key as one of them."""

KEY_PARAMETERS = ("auth_id", "token", "authorization", "single_use_token")
PROXY_HEADERS = frozenset({"forwarded", "via", "x-real-ip", "cf-connecting-ip", "true-client-ip"})
PROXY_PREFIX = "x-forwarded-"


MAX_UNAUTHENTICATED = 64
"""So many who have yet to show a key may be here: strangers shall not take the places of others."""

UNAUTHENTICATED_SECONDS = 15.0
"""Longest life of each, in seconds: a protocol waits 10 s for the key, and its refusal may never be read."""


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, without a port) can only mean this machine.

    No name but ``localhost`` and those under it is looked up: what a resolver says can change.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a Host header, or in the part of an Origin after its scheme: no port, lower case."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_ip_address(name: str) -> bool:
    """Whether ``name`` is an IP address, which nobody can make point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_proxied(headers: Headers) -> bool:
    """Whether a request was passed on by a proxy that says so."""
    return any(name in PROXY_HEADERS or name.startswith(PROXY_PREFIX) for name in headers)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: an HTTP status, and a sentence for its client.

    call: method and path, where there is nothing behind the path or not for that method.
    """

    status: int
    reason: str
    call: str = ""


RefusalBody = Callable[[Refusal], dict[str, Any]]
"""What a refusal's JSON is."""


def plain_refusal(refusal: Refusal) -> dict[str, Any]:
    """A refusal where no protocol has another."""
    return {"error": {"message": refusal.reason}}


@dataclass(frozen=True, slots=True)
class Paths:
    """Paths that are not like the others.

    open: nothing is asked there; keyed: a key is needed there on a loopback address too; keyless:
    no key is needed there where ``public_token`` counts. It counts on the keyed and the keyless
    paths only: for clients of this machine at a loopback address, for all others where the keys
    of the server list it. pages: those that a browser may read before it has a key to send; nothing
    is asked of a GET there. later: beginnings of the paths of WebSockets whose clients may send their key
    with their first message: who comes without a good one finds ``scope["key_check"]``, a function that
    tells whether a key is, and has let nobody in yet. Few at once may come so (``MAX_UNAUTHENTICATED``).
    """

    public: frozenset[str] = frozenset()
    requires_key: frozenset[str] = frozenset()
    no_key_with_public_token: frozenset[str] = frozenset()
    pages: frozenset[str] = frozenset()
    key_in_first_message: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What a server asks of those who connect.

    loopback: the server listens on a loopback address only; keys: those that open it, as text;
    no_auth: ask for none; allowed_origins: further web pages, as ``https://host[:port]`` or
    ``null``; allowed_hosts: further names for this server, without a port; own_names: what this
    machine calls itself, lower case, which counts only where the server is no loopback server;
    paths: those with rules of their own.
    """

    loopback: bool
    keys: tuple[str, ...] = field(default=(), repr=False)
    no_auth: bool = False
    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    machine_names: frozenset[str] = frozenset()
    paths: Paths = Paths()

    def check(self, headers: Headers, query: bytes, path: str) -> Refusal | None:
        """None if the request may come in, else why not: 401 for the key, 403 for the rest."""
        if path in self.paths.public:
            return None
        hosts = headers.getlist("host")
        stranger = self._is_stranger(headers, hosts)
        public = path in self.paths.requires_key | self.paths.no_key_with_public_token and (
            not stranger or PUBLIC_TOKEN in self.keys
        )
        # A page elsewhere, whatever name it made point here, has no secret key.
        any_name = not (self.loopback or self.no_auth or public)
        if not any_name and not (hosts and all(self._names_us(host_name(host)) for host in hosts)):
            return Refusal(403, "this name is not served here (KANI_ALLOWED_HOSTS lists further names)")
        own = [host.lower() for host in hosts]
        if not all(self.origin_allowed(origin, own) for origin in headers.getlist("origin")):
            return Refusal(403, "web pages of this origin may not come in (KANI_ALLOWED_ORIGINS lists more)")
        # Browsers send no Origin for what a page embeds, an image or a recording.
        if "origin" not in headers and headers.get("sec-fetch-site", "").lower() == "cross-site":
            return Refusal(403, "web pages of other sites may not embed or link to this")
        if self.no_auth or (public and path in self.paths.no_key_with_public_token):
            return None
        keys = {*self.keys, PUBLIC_TOKEN} if public else {*self.keys} - {PUBLIC_TOKEN}
        if not (stranger or path in self.paths.requires_key) or _has_key(headers, query, keys):
            return None
        if not (self.keys or public):
            return Refusal(403, "this came through a proxy: KANI_API_KEYS or --no-auth lets its clients in")
        ways = "Authorization: Bearer KEY, xi-api-key: KEY, kyutai-api-key: KEY or ?token=KEY"
        return Refusal(401, f"a key is needed: {ways}")

    def is_key(self, key: str) -> bool:
        """Whether ``key`` is one of the server's, ``public_token`` aside."""
        return _known([key], {*self.keys} - {PUBLIC_TOKEN})

    def origin_allowed(self, origin: str, own_hosts: Container[str] = ()) -> bool:
        """Whether a page of ``origin`` may use this server, whose pages come from ``own_hosts``."""
        origin = origin.lower()
        netloc = origin.partition("://")[2]
        return origin in self.allowed_origins or is_loopback(host_name(netloc)) or netloc in own_hosts

    def _names_us(self, name: str) -> bool:
        # Without a key to know a stranger by, only a name is trusted that nobody else can make
        # point here: an address, or a name that this machine or its administrator gave.
        if is_loopback(name) or name in self.allowed_hosts:
            return True
        return not self.loopback and (is_ip_address(name) or name in self.machine_names)

    def _is_stranger(self, headers: Headers, hosts: list[str]) -> bool:
        if not self.loopback or is_proxied(headers):
            return True
        # A listed name is most likely a proxy's that keeps silent; where keys were given, they count.
        return bool(self.keys) and any(not is_loopback(host_name(host)) for host in hosts)


def _has_key(headers: Headers, query: bytes, keys: Iterable[str]) -> bool:
    bearers = (value.partition(" ") for value in headers.getlist("authorization"))
    offered = [key.strip() for scheme, _, key in bearers if scheme.lower() == "bearer"]
    offered += [key for name in KEY_HEADERS for key in headers.getlist(name)]
    protocols = [name.strip() for name in ",".join(headers.getlist("sec-websocket-protocol")).split(",")]
    offered += [name.removeprefix(KEY_PROTOCOL) for name in protocols if name.startswith(KEY_PROTOCOL)]
    parameters = parse_qs(query.decode("latin-1"))
    offered += [value for name in KEY_PARAMETERS for value in parameters.get(name, [])]
    return _known(offered, keys)


def _known(offered: Iterable[str], keys: Iterable[str]) -> bool:
    # Digests are of one length, and every pair is compared: the time tells nothing of a key.
    known = [hashlib.sha256(key.encode()).digest() for key in keys]
    given = [hashlib.sha256(form).digest() for key in offered for form in _forms(key)]
    return sum(hmac.compare_digest(one, other) for one in given for other in known) > 0


def _forms(key: str) -> list[bytes]:
    """The bytes that ``key`` may stand for. A header's bytes are read as Latin-1, whatever they were."""
    forms = [key.encode("utf-8", "surrogatepass")]
    with suppress(UnicodeEncodeError):
        forms.append(key.encode("latin-1"))
    return forms


class ResourcePolicyMiddleware:
    """Has browsers keep every answer from pages of other origins that embed it without asking."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or one WebSocket."""

        async def marked_send(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message)["cross-origin-resource-policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, marked_send)


class AccessMiddleware:
    """Lets in what ``rules`` allow; answers everything else itself, before any upgrade.

    bodies: by the beginning of a path, what the body of a refusal is where its clients expect another;
    later_at_once: WebSockets whose clients have yet to show a key; later_s: how long each may be one, its
    end included.
    """

    def __init__(
        self,
        app: ASGIApp,
        rules: AccessRules,
        refusal_bodies: Mapping[str, RefusalBody] | None = None,
        max_unauthenticated: int = MAX_UNAUTHENTICATED,
        unauthenticated_s: float = UNAUTHENTICATED_SECONDS,
    ) -> None:
        self._app = app
        self._rules = rules
        self._bodies = dict(refusal_bodies or {})
        self._at_once = max_unauthenticated
        self._later_s = unauthenticated_s
        self._unproved = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or WebSocket handshake."""
        refusal = None
        if scope["type"] in ("http", "websocket"):
            # Starlette's routes end in "$", which a line break may follow.
            path = scope["path"].rstrip("\n")
            if scope["type"] == "websocket" or not self._is_page(scope["method"], path):
                refusal = self._rules.check(Headers(scope=scope), scope["query_string"], path)
            later = scope["type"] == "websocket" and path.startswith(self._rules.paths.key_in_first_message)
            if refusal is not None and refusal.status == 401 and later and self._unproved < self._at_once:
                await self._let_prove(scope, receive, send)
                return
        if refusal is None:
            await self._app(scope, receive, send)
            return
        headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        body = next((body for start, body in self._bodies.items() if path.startswith(start)), plain_refusal)
        answer = JSONResponse(body(refusal), refusal.status, headers)
        await answer(scope, receive, send)

    async def _let_prove(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let somebody in who has yet to show a key, and count them until they have, or have gone."""
        unproved = True
        self._unproved += 1
        patience = asyncio.timeout(self._later_s)

        def is_key(key: str) -> bool:
            nonlocal unproved
            good = self._rules.is_key(key)
            if good and unproved:
                unproved = False
                self._unproved -= 1
                if not patience.expired():
                    patience.reschedule(None)
            return good

        try:
            async with patience:
                await self._app({**scope, "key_check": is_key}, receive, send)
        except TimeoutError:
            if not patience.expired():
                raise
        finally:
            self._unproved -= unproved
            unproved = False

    def _is_page(self, method: str, path: str) -> bool:
        return method in ("GET", "HEAD") and path in self._rules.paths.pages
