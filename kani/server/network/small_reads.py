"""Reads connections in small pieces.

The event loop's own reads are 256 KiB long. Of each upload in a crowd a piece and its copies wait for a
file to take them, so the length of a piece decides what the crowd costs.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override

READ_BYTES = 32 * 1024
"""Most bytes of one read."""


class SmallReads(asyncio.BufferedProtocol):
    """Passes input on to ``protocol``, at most as much at a time as ``buffer`` holds; all else as it comes.

    buffer: may be shared by the connections of one event loop, as each read is passed on before the next.
    """

    def __init__(self, protocol: asyncio.Protocol, buffer: bytearray) -> None:
        self._protocol = protocol
        self._buffer = memoryview(buffer)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    @override
    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self._protocol.data_received(bytes(self._buffer[:nbytes]))


def restart_reading(transport: asyncio.Transport) -> None:
    """Let ``transport`` read for a protocol of another kind, which it was given while it was reading."""
    # uvloop looks at the kind only when reading starts.
    if transport.is_reading():
        transport.pause_reading()
        transport.resume_reading()
