"""Who may come in: keys on the network, Origin and Host on a loopback address.

On a loopback address whoever is on this machine may come in without a key. What must not come in is
a web page from elsewhere that runs in this machine's browser: it is known by its Origin, and where
it made its own name point here (DNS rebinding), by the Host it asks for. On any other address a key
is asked for, unless the server was told to ask nobody.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({"/health"})
KEY_HEADERS = ("xi-api-key", "kyutai-api-key")
KEY_PARAMETERS = ("auth_id", "token")
FORWARDING_HEADERS = ("forwarded", "x-forwarded-for")


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


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why someone may not come in: an HTTP status and a sentence for whoever asked."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What a server asks of those who connect.

    loopback: the server listens on a loopback address only; keys: those that open it, as text;
    no_auth: ask for none; allowed_origins: further web pages, as ``https://host[:port]`` or
    ``null``; allowed_hosts: further names for this server, without a port.
    """

    loopback: bool
    keys: tuple[str, ...] = field(default=(), repr=False)
    no_auth: bool = False
    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()

    def judge(self, headers: Headers, query: bytes) -> Refusal | None:
        """None if the request may come in, else why not: 401 for the key, 403 for the rest."""
        hosts = headers.getlist("host")
        if self.loopback and not all(self._names_us(host) for host in hosts):
            return Refusal(403, "this name is not served here (KANI_ALLOWED_HOSTS lists further names)")
        if not all(self.origin_allowed(origin, hosts) for origin in headers.getlist("origin")):
            return Refusal(403, "web pages of this origin may not come in (KANI_ALLOWED_ORIGINS lists more)")
        if self._asks_for_key(headers, hosts) and not self._has_key(headers, query):
            return Refusal(401, "a key is needed: Authorization: Bearer KEY, xi-api-key: KEY or ?token=KEY")
        return None

    def origin_allowed(self, origin: str, hosts: Iterable[str] = ()) -> bool:
        """Whether a page of ``origin`` may use this server, which it reaches as ``hosts``."""
        origin = origin.lower()
        if origin in self.allowed_origins:
            return True
        netloc = origin.partition("://")[2]
        name = host_name(netloc)
        if is_loopback(name):
            return True
        own = any(netloc == host.lower() for host in hosts)
        return own and self._cannot_be_rebound(name)

    def _cannot_be_rebound(self, name: str) -> bool:
        # Without a key to know a stranger by, a page's own name is only trusted where nobody can
        # make it point here: an address, or a name that was listed.
        if not self.loopback and not self.no_auth:
            return True
        if name in self.allowed_hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _names_us(self, host: str) -> bool:
        name = host_name(host)
        return is_loopback(name) or name in self.allowed_hosts

    def _asks_for_key(self, headers: Headers, hosts: list[str]) -> bool:
        if self.no_auth:
            return False
        if not self.loopback:
            return True
        # Whoever comes through a proxy is not on this machine; where keys were given, they count.
        forwarded = any(name in headers for name in FORWARDING_HEADERS)
        named = any(not is_loopback(host_name(host)) for host in hosts)
        return bool(self.keys) and (forwarded or named)

    def _has_key(self, headers: Headers, query: bytes) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        offered = [bearer.strip()] if scheme.lower() == "bearer" else []
        offered += [headers[name] for name in KEY_HEADERS if name in headers]
        parameters = parse_qs(query.decode("latin-1"))
        offered += [value for name in KEY_PARAMETERS for value in parameters.get(name, [])]
        # Digests are of one length, and every pair is compared: the time tells nothing of a key.
        known = [hashlib.sha256(key.encode()).digest() for key in self.keys]
        given = [hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest() for key in offered]
        return sum(hmac.compare_digest(one, other) for one in given for other in known) > 0


class AccessMiddleware:
    """Lets in what ``rules`` allow; answers everything else itself, before any upgrade."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or WebSocket handshake."""
        refusal = None
        if scope["type"] in ("http", "websocket") and scope["path"] not in OPEN_PATHS:
            refusal = self._rules.judge(Headers(scope=scope), scope["query_string"])
        if refusal is None:
            await self._app(scope, receive, send)
            return
        headers = {"www-authenticate": "Bearer"} if refusal.status == 401 else {}
        answer = JSONResponse({"error": {"message": refusal.reason}}, refusal.status, headers)
        await answer(scope, receive, send)
