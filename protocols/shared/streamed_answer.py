"""Answers that are sent while their speech is made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from speech.errors import SpeechError

ByteStream = AsyncGenerator[bytes, None]


class StreamedAnswer(StreamingResponse):
    """A response that closes its session or releases its memory when it ends or its client disconnects.

    stack: holds them. A SpeechError of ``content`` ends the answer without its last chunk, so that clients
    see that it is incomplete: the status is sent already, and the session has logged the error.
    """

    def __init__(
        self, content: ByteStream, *, headers: Mapping[str, str], media_type: str, stack: AsyncExitStack
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        async with self._stack:
            try:
                await super().__call__(scope, receive, send)
            except SpeechError:
                return


async def prepend(first: bytes, rest: ByteStream) -> ByteStream:
    """Yield ``first`` and then what is left of the stream that it was taken from."""
    yield first
    async for block in rest:
        yield block
