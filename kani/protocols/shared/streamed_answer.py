"""Answers that are sent while their speech is made."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import IO

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from kani.core.errors import SpeechError
from kani.protocols.shared.protocol import break_off
from kani.protocols.shared.tasks import cancel_on_disconnect, run_until_first

ByteStream = AsyncGenerator[bytes, None]

BLOCK_BYTES = 3 * 32 * 1024
"""Part of a whole answer that is sent at once; a multiple of 3, so that its base64 has no padding."""


class StreamedAnswer(StreamingResponse):
    """A response that releases what it holds when it ends or its client disconnects.

    stack: its session, memory or file. A SpeechError of ``content`` ends the answer without its last chunk,
    so that clients see that it is incomplete: the status is sent already, and the session has logged the
    error.
    """

    def __init__(
        self,
        content: ByteStream,
        *,
        headers: Mapping[str, str] | None = None,
        media_type: str,
        stack: AsyncExitStack,
        status_code: int = 200,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        # Not by the task group of Starlette's own response: anyio's leaves a cancelled task's error in a
        # reference cycle, with all that the answer held, until the next garbage collection.
        async with self._stack:
            try:
                await run_until_first(self.stream_response(send), self.listen_for_disconnect(receive))
            except SpeechError:
                break_off(scope)


async def in_blocks(data: bytes) -> ByteStream:
    """Yield the parts of an answer that is complete."""
    for start in range(0, len(data), BLOCK_BYTES):
        yield data[start : start + BLOCK_BYTES]


async def file_blocks(file: IO[bytes], length: int) -> ByteStream:
    """Yield the next ``length`` bytes of a file in parts."""
    while block := await asyncio.to_thread(file.read, min(length, BLOCK_BYTES)):
        length -= len(block)
        yield block


async def begun_answer(
    request: Request,
    blocks: ByteStream,
    stack: AsyncExitStack,
    *,
    headers: Callable[[], Mapping[str, str]] = dict,
    media_type: str,
) -> StreamedAnswer:
    """Return an answer once its first block is there, so that an error before it still gets a status.

    stack: holds what the answer releases, and closes ``blocks``; headers: called once there is a block.
    Raises ClientDisconnect, and what ``blocks`` raises.
    """
    blocks = await stack.enter_async_context(aclosing(blocks))
    first = await cancel_on_disconnect(request, anext(blocks))
    content = _prepend(first, blocks)
    return StreamedAnswer(content, headers=headers(), media_type=media_type, stack=stack.pop_all())


def complete_answer(
    data: bytes, stack: AsyncExitStack, *, headers: Mapping[str, str], media_type: str
) -> StreamedAnswer:
    """Return an answer that says its length; stack: holds what it releases once it is sent."""
    headers = {**headers, "content-length": str(len(data))}
    return StreamedAnswer(in_blocks(data), headers=headers, media_type=media_type, stack=stack.pop_all())


async def _prepend(first: bytes, rest: ByteStream) -> ByteStream:
    yield first
    async for block in rest:
        yield block
