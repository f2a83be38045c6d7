"""POST /v1/audio/speech: audio that is sent while it is made, as bytes or as server-sent events."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.requests import Request
from starlette.responses import Response

from protocols.openai.errors import Handler, endpoint
from protocols.openai.settings import OpenAISettings
from protocols.openai.speech.body import parse_body, read_object
from protocols.openai.speech.utterance import Utterance, open_utterance
from protocols.shared.disconnect import cancel_on_disconnect
from protocols.shared.streamed_answer import ByteStream, StreamedAnswer, prepend
from speech.audio.encoding import AudioFormat, Encoder, create_encoder
from speech.service import SpeechService
from speech.types import SpeechChunk

TASK_NAME = "openai speech request"
SSE_TYPE = "text/event-stream"
SSE_BLOCK_BYTES = 3 * 2048
"""Most bytes of audio in one event; a multiple of 3, so that only the last has padding in its base64."""

_DONE: dict[str, object] = {
    "type": "speech.audio.done",
    "usage": {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
}
"""The last event; this server counts no tokens."""

_IN_THREAD = frozenset({"mp3", "opus", "aac", "flac"})


def create_endpoint(service: SpeechService, settings: OpenAISettings) -> Handler:
    """Return the call. Its answer starts with the first audio, so that earlier errors have a status."""

    async def create(request: Request) -> Response:
        body = parse_body(read_object(await request.body()), settings.max_text)
        async with AsyncExitStack() as stack:
            utterance = await stack.enter_async_context(
                await open_utterance(service, settings, request, body)
            )
            blocks = encode(utterance, body.audio_format)
            blocks = await stack.enter_async_context(aclosing(_events(blocks) if body.sse else blocks))
            first = await cancel_on_disconnect(request, anext(blocks), name=TASK_NAME)
            return StreamedAnswer(
                prepend(first, blocks),
                headers=utterance.headers | {"cache-control": "no-cache"},
                media_type=SSE_TYPE if body.sse else body.audio_format.content_type,
                stack=stack.pop_all(),
            )

    return endpoint(create)


class StreamEncoder:
    """Encodes speech while it is made; compressed formats in a thread."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._in_thread = audio_format.codec in _IN_THREAD
        self._encoder: Encoder | None = None

    async def feed(self, chunk: SpeechChunk) -> bytes:
        """Accept a chunk; returns the bytes that are ready, perhaps none."""
        if self._encoder is None:
            self._encoder = create_encoder(self._format, chunk.sample_rate)
        if self._in_thread:
            return await asyncio.to_thread(self._encoder.feed, chunk.samples)
        return self._encoder.feed(chunk.samples)

    async def finish(self) -> bytes:
        """Return the rest."""
        return b"" if self._encoder is None else await asyncio.to_thread(self._encoder.finish)


async def encode(utterance: Utterance, audio_format: AudioFormat) -> ByteStream:
    """Yield non-empty blocks of encoded audio while it is made. Raises SpeechError."""
    encoder = StreamEncoder(audio_format)
    async for chunk in utterance.chunks():
        if data := await encoder.feed(chunk):
            yield data
    if data := await encoder.finish():
        yield data


async def _events(blocks: ByteStream) -> AsyncGenerator[bytes, None]:
    """Yield the audio as events: a delta for each block, and the end.

    A failure breaks the connection off, for clients know no event of an error.
    """
    async with aclosing(blocks):
        async for block in blocks:
            for start in range(0, len(block), SSE_BLOCK_BYTES):
                audio = base64.b64encode(block[start : start + SSE_BLOCK_BYTES]).decode()
                yield _event({"type": "speech.audio.delta", "audio": audio})
    yield _event(_DONE)


def _event(content: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"
