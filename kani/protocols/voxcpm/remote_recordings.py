"""Fetches recordings that clients name by URL: only from listed hosts, bounded in size and time.

A client could otherwise use this server to reach hosts that only this server can reach (server-side request
forgery). The same holds for each redirect.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from kani.core.audio.pcm import MAX_RECORDING_BYTES
from kani.core.errors import Busy, InvalidRequest

if TYPE_CHECKING:
    import httpx2

log = logging.getLogger(__name__)

URL_PARAM = "prompt_wav_url"
FETCH_TIMEOUT_S = 10.0
"""Seconds for everything: lookups, redirects, and the recording up to its last byte."""

MAX_URL_LENGTH = 2000
MAX_REDIRECTS = 3
MAX_FETCHES = 16

_PORTS = {"http": 80, "https": 443}
_HEADERS = {"User-Agent": "kani-tts", "Accept": "audio/*, */*;q=0.1", "Connection": "close"}


class RemoteRecordings:
    """Fetches recordings over HTTP and HTTPS, and decodes ``data:`` URLs.

    hosts: those that are asked, ``name`` or ``name:port``, in any case; timeout_s: for one recording;
    max_bytes: of one.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        *,
        timeout_s: float = FETCH_TIMEOUT_S,
        max_bytes: int = MAX_RECORDING_BYTES,
    ) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._running = 0
        self._tls: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> bytes:
        """Return the bytes that ``url`` names, unchecked: ``decode_recording`` checks them.

        Raises InvalidRequest for ``prompt_wav_url``, and Busy while MAX_FETCHES are running.
        """
        if url[:5].lower() == "data:":
            return await asyncio.to_thread(_read_data, url, self._max_bytes)
        # Brings httpx2, which a server that fetches none does without.
        from kani.runtime import bounded_http

        target = self._target(url)
        if self._running >= MAX_FETCHES:
            raise Busy("too many recordings are being fetched: try again later")
        self._running += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._tls is None:
                    self._tls = await asyncio.to_thread(_tls)
                client = bounded_http.new_client(timeout=self._timeout_s, headers=_HEADERS, tls=self._tls)
                async with client:
                    return await self._follow(client, target)
        except TimeoutError as error:
            raise _refused(f"was not fetched within {self._timeout_s:g} s") from error
        finally:
            self._running -= 1

    async def _follow(self, client: httpx2.AsyncClient, target: httpx2.URL) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(client, target)
            if isinstance(answer, bytes):
                return answer
            target = self._target(answer, target)
            client.cookies.clear()
        raise _refused(f"redirects too often (at most {MAX_REDIRECTS} times)")

    async def _get(self, client: httpx2.AsyncClient, target: httpx2.URL) -> bytes | str:
        """Return the body, or the location that the host redirects to."""
        import httpx2

        from kani.runtime import bounded_http

        try:
            async with client.stream("GET", target) as answer:
                if answer.has_redirect_location:
                    return answer.headers["location"]
                if answer.status_code != 200:
                    # A client must not learn what a private host answers.
                    raise _refused("was not answered with a recording")
                if int(answer.headers.get("content-length", "0")) > self._max_bytes:
                    raise _refused(_too_large(self._max_bytes))
                return await bounded_http.body(answer, self._max_bytes)
        except bounded_http.AnswerRefused as error:
            raise _refused(f"was answered by something that {error}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise _refused("could not be fetched") from error

    def _target(self, text: str, base: httpx2.URL | None = None) -> httpx2.URL:
        """Parse a URL of a listed host, which may be relative to ``base``. Raises InvalidRequest.

        It is parsed once: the checked URL and the fetched URL cannot differ.
        """
        import httpx2

        # Characters that URL parsers drop silently are refused: parsers could disagree about them.
        if not text.isprintable() or " " in text or "\\" in text:
            raise _refused("holds characters that no URL has")
        if len(text) > MAX_URL_LENGTH:
            raise _refused(f"too long (at most {MAX_URL_LENGTH} characters)")
        try:
            url = httpx2.URL(text) if base is None else base.join(text)
        except (httpx2.InvalidURL, ValueError) as error:
            raise _refused("is not a URL") from error
        if url.scheme not in _PORTS:
            raise _refused("must begin with http://, https:// or data:")
        if url.userinfo:
            raise _refused("must not hold a user name or a password")
        if not self._lists(url):
            log.info("%s refused: %s is not listed (KANI_RECORDING_HOSTS)", URL_PARAM, url.netloc.decode())
            raise _refused("names a host that this server does not fetch from (KANI_RECORDING_HOSTS)")
        return url

    def _lists(self, url: httpx2.URL) -> bool:
        host = url.raw_host.decode()
        names = {host, f"[{host}]"} if ":" in host else {host}
        port = url.port or _PORTS[url.scheme]
        return bool(self._hosts & {*names, *(f"{name}:{port}" for name in names)})


def _tls() -> ssl.SSLContext:
    """Return what certificates are checked by. Blocks."""
    import httpx2

    return httpx2.create_ssl_context()


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
    except ValueError as error:
        raise _refused("is not a data: URL: its base64 cannot be read") from error
    if len(data) > largest:
        raise _refused(_too_large(largest))
    return data


def _too_large(largest: int) -> str:
    return f"too large (at most {largest / 2**20:g} MiB)"


def _refused(reason: str) -> InvalidRequest:
    return InvalidRequest(URL_PARAM, reason)
