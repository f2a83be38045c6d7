"""Network backend of an HTTP client for untrusted hosts: pinned addresses, bounded input."""

# ruff: noqa: ASYNC109 - the signatures are httpcore's
from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore

MAX_HEAD_BYTES = 64 * 1024
"""Bytes of an answer before its body."""

_READ_BYTES = 4096
_CONNECT_S = 3.0
_MAX_ADDRESSES = 3


class PinnedAddresses(httpcore.AsyncNetworkBackend):
    """Connects to the given addresses only, at least one, whatever host is asked for."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses[:_MAX_ADDRESSES]
        self._tcp = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> BoundedStream:
        """Connect to the first address that accepts. Raises ConnectError or ConnectTimeout."""
        *others, last = self._addresses
        for address in others:
            try:
                return BoundedStream(await self._tcp.connect_tcp(address, port, _CONNECT_S), MAX_HEAD_BYTES)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return BoundedStream(await self._tcp.connect_tcp(last, port, _CONNECT_S), MAX_HEAD_BYTES)


class BoundedStream(httpcore.AsyncNetworkStream):
    """A connection that reads at most ``bytes_left`` bytes, a few at a time.

    An endless head, or a body in chunks of one byte, would keep the event loop busy.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream, left: int) -> None:
        self._stream = stream
        self.bytes_left = left

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes, none at the end. Raises ReadError beyond ``bytes_left``."""
        # Data that TLS has buffered is read without waiting: yield to the event loop in between.
        await asyncio.sleep(0)
        data = await self._stream.read(min(max_bytes, _READ_BYTES), timeout)
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise httpcore.ReadError("too many bytes")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of ``buffer``."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> BoundedStream:
        """Return the connection encrypted, its certificate checked for ``server_hostname``."""
        try:
            encrypted = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            # httpcore closes the connection after a failed handshake, but not after a cancelled one.
            await self._stream.aclose()
            raise
        return BoundedStream(encrypted, self.bytes_left)

    def get_extra_info(self, info: str) -> Any:
        """Return a property of the connection."""
        return self._stream.get_extra_info(info)
