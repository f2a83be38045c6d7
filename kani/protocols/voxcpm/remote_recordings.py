"""Fetches recordings that clients name by URL: only from public addresses, bounded in size and time.

A client could otherwise use this server to reach hosts that only this server can reach (server-side request
forgery). So every address of a URL's host is checked, and the connection goes to a checked address: the name
is not resolved again in between. The same holds for each redirect.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
import logging
import re
import ssl
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

import httpcore

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import Busy, InvalidRequest
from kani.protocols.voxcpm.checked_network import BoundedStream, PinnedAddresses
from kani.protocols.voxcpm.public_addresses import Resolver, is_own_address, is_public_address

log = logging.getLogger(__name__)

URL_PARAM = "prompt_wav_url"
FETCH_TIMEOUT_S = 10.0
"""Seconds for everything: lookups, redirects, and the recording up to its last byte."""

MAX_URL_LENGTH = 2000
MAX_REDIRECTS = 3
MAX_FETCHES = 16

# A recording of 10 MiB in pieces of half a kibibyte; each piece costs time, however small.
_MAX_PIECES = 20_000
_PIECES_PER_YIELD = 50
_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z0-9_](?:[a-z0-9_-]{0,62})")
_TARGET_SAFE = "%/:?#[]@!$&'()*+,;=~"


@dataclass(frozen=True, slots=True)
class _Target:
    """A parsed URL. It is parsed once: the checked URL and the fetched URL cannot differ."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def netloc(self) -> str:
        """Host and, unless it is the scheme's default, port, as in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def is_listed(self, allowed: frozenset[str]) -> bool:
        """Return whether ``allowed`` lists the host, or this port of it."""
        names = {self.host, f"[{self.host}]"} if ":" in self.host else {self.host}
        return bool(allowed & {*names, *(f"{name}:{self.port}" for name in names)})


class RemoteRecordings:
    """Fetches recordings over HTTP and HTTPS, and decodes ``data:`` URLs.

    allowed_hosts: ``name`` or ``name:port``, in any case, of hosts that may have private addresses;
    timeout_s: for one recording; max_bytes: of one.
    """

    def __init__(
        self,
        allowed_hosts: frozenset[str],
        *,
        timeout_s: float = FETCH_TIMEOUT_S,
        max_bytes: int = MAX_RECORDING_BYTES,
    ) -> None:
        self._allowed = frozenset(host.lower() for host in allowed_hosts)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._resolver = Resolver()
        self._running = 0
        self._tls: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> bytes:
        """Return the bytes that ``url`` names, unchecked: ``decode_recording`` checks them.

        Raises InvalidRequest for ``prompt_wav_url``, and Busy while MAX_FETCHES are running. The sentence is
        the same for an unknown host and for one that is not public.
        """
        if url[:5].lower() == "data:":
            return await asyncio.to_thread(_read_data, url, self._max_bytes)
        if self._running >= MAX_FETCHES:
            raise Busy("too many recordings are being fetched: try again later")
        self._running += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._follow(_read_url(url))
        except TimeoutError as error:
            raise _refused(f"was not fetched within {self._timeout_s:g} s") from error
        finally:
            self._running -= 1

    async def _follow(self, target: _Target) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(target)
            if isinstance(answer, bytes):
                return answer
            target = _read_url(answer, target.url)
        raise _refused(f"redirects too often (at most {MAX_REDIRECTS} times)")

    async def _get(self, target: _Target) -> bytes | str:
        """Return the body, or the location that the host redirects to."""
        listed = target.is_listed(self._allowed)
        addresses = await self._resolver.resolve(target.host, target.port)
        public = all(is_public_address(address) and not is_own_address(address) for address in addresses)
        if not addresses or not (listed or public):
            log.info(
                "%s refused: %s has no public address (KANI_RECORDING_HOSTS lists others)",
                URL_PARAM,
                target.netloc,
            )
            raise _refused("names no host with a public address")
        if target.scheme == "https" and self._tls is None:
            self._tls = await asyncio.to_thread(httpcore.default_ssl_context)
        try:
            async with (
                httpcore.AsyncConnectionPool(
                    self._tls,
                    max_connections=1,
                    max_keepalive_connections=0,
                    network_backend=PinnedAddresses(addresses),
                ) as pool,
                pool.stream("GET", _parsed(target), headers=_headers(target)) as response,
            ):
                return await self._read(response, listed)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            raise _refused("could not be fetched") from error

    async def _read(self, response: httpcore.Response, listed: bool) -> bytes | str:
        headers = [(name.lower(), value) for name, value in response.headers]
        values = dict(headers)
        if response.status in _REDIRECTS and values.get(b"location"):
            return values[b"location"].decode("utf-8", "replace")
        if response.status != 200:
            # A client must not learn what a private host answers.
            status = "" if listed else f" (status {response.status})"
            raise _refused(f"was not answered with a recording{status}")
        if any(value.lower() != b"identity" for name, value in headers if name == b"content-encoding"):
            raise _refused("was answered compressed, although that was not requested")
        if int(values.get(b"content-length", b"0")) > self._max_bytes:
            raise self._too_large()
        stream = response.extensions["network_stream"]
        assert isinstance(stream, BoundedStream)
        stream.bytes_left = 2 * self._max_bytes
        body, pieces = bytearray(), 0
        async for piece in response.aiter_stream():
            body += piece
            pieces += 1
            if len(body) > self._max_bytes:
                raise self._too_large()
            if pieces > _MAX_PIECES:
                raise _refused("comes in too small pieces")
            if not pieces % _PIECES_PER_YIELD:
                # Pieces of one packet are read without waiting: yield to the event loop.
                await asyncio.sleep(0)
        return bytes(body)

    def _too_large(self) -> InvalidRequest:
        return _refused(_too_large(self._max_bytes))


def _read_url(text: str, base: str = "") -> _Target:
    """Parse a URL, which may be relative to ``base``. Raises InvalidRequest."""
    # Characters that URL parsers drop silently are refused: parsers could disagree about them.
    if not text.isprintable() or " " in text or "\\" in text:
        raise _refused("holds characters that no URL has")
    if len(text) > MAX_URL_LENGTH:
        raise _refused(f"too long (at most {MAX_URL_LENGTH} characters)")
    try:
        url = urljoin(base, text)
        split = urlsplit(url)
        if split.scheme not in _PORTS:
            raise _refused("must begin with http://, https:// or data:")
        if "@" in split.netloc:
            raise _refused("must not hold a user name or a password")
        host = _host(split.hostname or "")
        port = _PORTS[split.scheme] if split.port is None else split.port
    except ValueError as error:
        raise _refused("is not a URL") from error
    path = quote(split.path or "/", _TARGET_SAFE) + (
        f"?{quote(split.query, _TARGET_SAFE)}" if split.query else ""
    )
    return _Target(url, split.scheme, host, port, path)


def _host(name: str) -> str:
    """Normalize a host for its lookup. Raises ValueError (UnicodeError is one) if it is none."""
    if ":" in name:
        address = ipaddress.IPv6Address(name)
        if address.scope_id:
            raise ValueError("link-local scope")
        return str(address)
    host = name.encode("idna").decode("ascii").lower().removesuffix(".")
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError("not a host's name")
    return host


def _read_data(url: str, largest: int) -> bytes:
    """Decode a ``data:`` URL (RFC 2397). Raises InvalidRequest."""
    kind, comma, content = url[5:].partition(",")
    if not comma:
        raise _refused("is not a data: URL: a comma is missing")
    try:
        data = unquote_to_bytes(content)
        if kind.rstrip().lower().endswith(";base64"):
            plain = b"".join(data.split()).rstrip(b"=")
            data = base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _refused("is not a data: URL: its base64 cannot be read") from error
    if len(data) > largest:
        raise _refused(_too_large(largest))
    return data


def _parsed(target: _Target) -> httpcore.URL:
    return httpcore.URL(
        scheme=target.scheme.encode(),
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )


def _headers(target: _Target) -> list[tuple[bytes, bytes]]:
    return [
        (b"Host", target.netloc.encode()),
        (b"User-Agent", b"kani-tts"),
        (b"Accept", b"audio/*, */*;q=0.1"),
        (b"Accept-Encoding", b"identity"),
        (b"Connection", b"close"),
    ]


def _too_large(largest: int) -> str:
    return f"too large (at most {largest / 2**20:g} MiB)"


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(URL_PARAM, reason)
