"""HTTP to other machines, with bounds on their answers: by bytes, by pieces, by time, and never unpacked.

Two kilobytes of gzip that is packed twice are gigabytes, and a body that comes in chunks of one byte costs
processor time for each. So no content coding is asked for or accepted, head and body end at their limits, and
reading them lets the event loop run. A byte that comes now and then is no silence: whole answers have a time.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpcore2
import httpx2

MAX_PIECES = 20_000
"""Pieces of one body, as they arrive; each costs time, however small it is."""

_PIECES_PER_YIELD = 50

MAX_HEAD_BYTES, MAX_HEAD_LINES, HEAD_S = 1 << 16, 200, 120.0
"""Bytes and lines of a head, and seconds from the request to its end: informational answers (RFC 9110, 15.2),
which httpcore2 skips in a loop, are counted in."""

_HEAD_READ_BYTES = 1 << 10
"""Bytes of a head that are parsed without letting others run; each of their lines costs time."""


class AnswerRefused(httpx2.HTTPError):
    """An answer that is compressed, too long or in too many pieces; the message says which, for people."""


def new_client(
    *,
    timeout: httpx2.Timeout | float,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    keepalive: int = 0,
) -> httpx2.AsyncClient:
    """Return a client that bounds the heads of answers.

    tls: what certificates are checked by, the usual authorities if None; keepalive: connections that stay
    open for the next request. It asks the given addresses only, by no proxy of the environment.
    """
    client = httpx2.AsyncClient(
        headers={**(headers or {}), "Accept-Encoding": "identity"},
        timeout=timeout,
        verify=tls or True,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=keepalive),
        trust_env=False,
    )
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx2.AsyncHTTPTransport):
            # httpx2 hands no backend on to httpcore2.
            transport._pool._network_backend = _Backend()
    client.event_hooks = {"response": [_begin_body]}
    return client


async def _begin_body(answer: httpx2.Response) -> None:
    stream = answer.extensions["network_stream"]
    if isinstance(stream, _Stream):  # it is none after a change of protocols, which has no body
        stream.in_head = False


class _Backend(httpcore2.AnyIOBackend):
    async def connect_tcp(self, *args: Any, **options: Any) -> _Stream:
        return _Stream(await super().connect_tcp(*args, **options))


class _Stream(httpcore2.AsyncNetworkStream):
    """A connection on which a head is due after each request."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._begin_head()

    def _begin_head(self) -> None:
        self.in_head, self._bytes, self._lines, self._until = True, 0, 0, time.monotonic() + HEAD_S

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        # Before it is written: httpcore2 reads on where it cannot be.
        self._begin_head()
        await self._stream.write(buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read; raises httpcore2's errors, and AnswerRefused."""
        if self.in_head:
            if self._bytes > MAX_HEAD_BYTES or self._lines > MAX_HEAD_LINES:
                raise AnswerRefused(f"begins with more than {MAX_HEAD_BYTES} bytes or {MAX_HEAD_LINES} lines")
            left_s = max(self._until - time.monotonic(), 0.0)
            max_bytes, timeout = _HEAD_READ_BYTES, left_s if timeout is None else min(timeout, left_s)
        data = await self._stream.read(max_bytes, timeout)
        self._bytes, self._lines = self._bytes + len(data), self._lines + data.count(b"\n")
        # Others go on here: encrypted bytes that have come already are read without waiting.
        await asyncio.sleep(0)
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **options: Any) -> _Stream:
        return _Stream(await self._stream.start_tls(*args, **options))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def pieces(
    answer: httpx2.Response, max_bytes: int, max_pieces: int = MAX_PIECES, *, within_s: float | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield a body as it arrives.

    within_s: most seconds of waiting for it in all. Raises httpx2's errors, ReadTimeout beyond this limit,
    and AnswerRefused beyond any other.
    """
    codings = answer.headers.get_list("content-encoding", split_commas=True)
    if any(coding.lower() != "identity" for coding in codings):
        raise AnswerRefused("is compressed, although that was not asked for")
    size = count = 0
    now, arriving = asyncio.get_running_loop().time, answer.aiter_raw()
    left_s = within_s
    while True:
        begun = now()
        try:
            async with asyncio.timeout(left_s):
                piece = await anext(arriving, None)
        except TimeoutError as error:
            raise httpx2.ReadTimeout(f"no whole answer in {within_s:g} s") from error
        if piece is None:
            return
        if left_s is not None:
            left_s = max(0.0, left_s - (now() - begun))
        size, count = size + len(piece), count + 1
        if size > max_bytes:
            raise AnswerRefused(f"has more than {max_bytes} bytes")
        if count > max_pieces:
            raise AnswerRefused(f"comes in more than {max_pieces} pieces")
        yield piece
        if not count % _PIECES_PER_YIELD:
            # Pieces of one packet are read without waiting.
            await asyncio.sleep(0)


async def body(answer: httpx2.Response, max_bytes: int, *, within_s: float | None = None) -> bytes:
    """Return a whole body. Raises as ``pieces`` does."""
    return b"".join([piece async for piece in pieces(answer, max_bytes, within_s=within_s)])
