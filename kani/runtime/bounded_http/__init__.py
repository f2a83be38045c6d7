"""HTTP to other machines whose answers are bounded: by bytes, by pieces, and never unpacked.

Two kilobytes of gzip that is packed twice are gigabytes, and a body that comes in chunks of one byte costs
processor time for each. So no content coding is asked for or accepted, a body ends at its limits, and reading
it lets the event loop run.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping

import httpx

MAX_PIECES = 20_000
"""Pieces of one body, as they arrive; each costs time, however small it is."""

_PIECES_PER_YIELD = 50


class AnswerRefused(httpx.HTTPError):
    """An answer that is compressed, too long or in too many pieces; the message says which, for people."""


def new_client(
    *,
    timeout: httpx.Timeout | float,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    keepalive: int = 0,
) -> httpx.AsyncClient:
    """Return a client that asks the given addresses only: no redirect, no proxy of the environment.

    tls: what certificates are checked by, the usual authorities if None; keepalive: connections that stay
    open for the next request.
    """
    return httpx.AsyncClient(
        headers={**(headers or {}), "Accept-Encoding": "identity"},
        timeout=timeout,
        verify=tls or True,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=keepalive),
        follow_redirects=False,
        trust_env=False,
    )


async def pieces(
    answer: httpx.Response, max_bytes: int, max_pieces: int = MAX_PIECES
) -> AsyncIterator[bytes]:
    """Yield a body as it arrives. Raises AnswerRefused beyond a limit, and httpx's errors."""
    codings = answer.headers.get_list("content-encoding", split_commas=True)
    if any(coding.lower() != "identity" for coding in codings):
        raise AnswerRefused("is compressed, although that was not asked for")
    size = count = 0
    async for piece in answer.aiter_raw():
        size, count = size + len(piece), count + 1
        if size > max_bytes:
            raise AnswerRefused(f"has more than {max_bytes} bytes")
        if count > max_pieces:
            raise AnswerRefused(f"comes in more than {max_pieces} pieces")
        yield piece
        if not count % _PIECES_PER_YIELD:
            # Pieces of one packet are read without waiting.
            await asyncio.sleep(0)


async def body(answer: httpx.Response, max_bytes: int) -> bytes:
    """Return a whole body. Raises as ``pieces`` does."""
    return b"".join([piece async for piece in pieces(answer, max_bytes)])
