"""Server-sent events of an HTTP response: the data of each, bounded.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6. Only ``data`` is of use here.
"""

from collections.abc import AsyncIterable, AsyncIterator

MAX_EVENT_BYTES = 2**20
"""Bytes of one line and of the data of one event; a chunk of an answer has a few hundred."""


async def event_data(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each event; comments, which some send to keep the connection, are dropped.

    Raises ValueError for an event without an end.
    """
    data: list[bytes] = []
    size = 0
    async for line in _lines(body):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            size += len(line)
            if size > MAX_EVENT_BYTES:
                raise ValueError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        elif not line and data:
            yield b"\n".join(data)
            data, size = [], 0
    if data:
        yield b"\n".join(data)  # a server that closes without the last empty line


async def _lines(body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    held = bytearray()  # of the line that has no end yet
    async for piece in body:
        begun, *others = piece.split(b"\n")
        held += begun
        for other in others:
            yield bytes(held).removesuffix(b"\r")
            held = bytearray(other)
        if len(held) > MAX_EVENT_BYTES:
            raise ValueError(f"a line of more than {MAX_EVENT_BYTES} bytes")
    if held:
        yield bytes(held).removesuffix(b"\r")
