"""The four calls of a text or a dialogue: whole or streamed, with or without character timestamps."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import request_ids
from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.types import SpeechChunk
from kani.protocols.elevenlabs.http.responses import TASK_NAME, endpoint
from kani.protocols.elevenlabs.http.timestamps import SizedStream, audio_line, audio_with_fields
from kani.protocols.shared.calls.unused import unused_header
from kani.protocols.shared.disconnect import cancel_on_disconnect
from kani.protocols.shared.passages import Passage, SpokenPassages
from kani.protocols.shared.streamed_answer import ByteStream, StreamedAnswer, begin_stream, in_blocks
from kani.protocols.shared.whole_answer import MAX_WHOLE_ANSWER_BYTES, MemoryBudget, Reservation, WholeAnswer

PROTOCOL = "elevenlabs"

T = TypeVar("T")


class TimedSpeech(SpokenPassages, ABC, Generic[T]):
    """The speech of one request; ``T`` tells the times of some characters."""

    def __init__(self, passages: Sequence[Passage], audio_format: AudioFormat, length: int) -> None:
        """length: characters of the text."""
        super().__init__(passages)
        self.audio_format = audio_format
        self._length = length

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer, known once there is a chunk.

        ``character-cost``: characters of the text; ``x-unused``: names of the given fields without effect.
        """
        request_id = request_ids.current()
        headers = {"request-id": request_id, "x-trace-id": request_id, "character-cost": str(self._length)}
        return headers | unused_header(self.unused_fields)

    @property
    @abstractmethod
    def unused_fields(self) -> list[str]:
        """Names of given fields without effect, as far as it is known so far."""

    @abstractmethod
    def chunks(self) -> AsyncGenerator[tuple[SpeechChunk, Sequence[T]], None]:
        """Yield the speech, each chunk with the characters that begin in it. Raises SpeechError."""

    @abstractmethod
    def timestamp_fields(self, timed: list[T]) -> dict[str, Any]:
        """Return the fields of consecutive characters."""


def whole_answer_budget() -> MemoryBudget:
    return MemoryBudget(MAX_WHOLE_ANSWER_BYTES, alternative="ask for /stream")


def four_routes(
    path: str, open_speech: Callable[[Request, bool], Awaitable[TimedSpeech[Any]]], budget: MemoryBudget
) -> list[BaseRoute]:
    """Return the four calls. Errors are ``{"detail": …}`` with 400, 404, 422, 429, 500, 503 or 504.

    open_speech: parses a request, and opens its speech, to be streamed or not; budget: memory of whole
    answers, the same as of other calls.
    """

    async def whole(request: Request, *, timed: bool) -> Response:
        """Answer with the audio file, or with JSON that has its times too."""
        async with AsyncExitStack() as stack:
            memory = stack.enter_context(budget.reservation())
            async with await open_speech(request, False) as speech:
                encoding = _encode_whole(speech, memory)
                data, parts = await cancel_on_disconnect(request, encoding, name=TASK_NAME)
                headers = speech.headers
            answer, media_type = SizedStream(len(data), in_blocks(data)), speech.audio_format.content_type
            if timed:
                fields = await asyncio.to_thread(speech.timestamp_fields, parts)
                answer, media_type = audio_with_fields(data, fields), "application/json"
            headers["content-length"] = str(answer.length)
            return StreamedAnswer(
                answer.blocks, headers=headers, media_type=media_type, stack=stack.pop_all()
            )

    async def streamed(request: Request, *, timed: bool) -> Response:
        """Start the answer with the first audio, so that earlier errors have a status."""
        async with AsyncExitStack() as stack:
            speech = await stack.enter_async_context(await open_speech(request, True))
            blocks = _json_lines(speech) if timed else _audio_blocks(speech)
            return StreamedAnswer(
                await begin_stream(request, blocks, stack, name=TASK_NAME),
                headers=speech.headers,
                media_type="application/x-ndjson" if timed else speech.audio_format.content_type,
                stack=stack.pop_all(),
            )

    def call(end: str, answer: Callable[..., Awaitable[Response]], *, timed: bool) -> Route:
        return Route(path + end, endpoint(partial(answer, timed=timed)), methods=["POST"])

    return [
        call("", whole, timed=False),
        call("/with-timestamps", whole, timed=True),
        call("/stream", streamed, timed=False),
        call("/stream/with-timestamps", streamed, timed=True),
    ]


async def _encode_whole(speech: TimedSpeech[T], memory: Reservation) -> tuple[bytes, list[T]]:
    """Encode the speech as a file, and time its characters. Raises SpeechError."""
    answer = WholeAnswer(memory, speech.audio_format, max_s=None)
    timed: list[T] = []
    async with aclosing(speech.chunks()) as chunks:
        async for chunk, characters in chunks:
            timed += characters
            await answer.add(chunk)
    return await asyncio.to_thread(answer.finish), timed


async def _audio_blocks(speech: TimedSpeech[Any]) -> ByteStream:
    async with aclosing(_encode(speech)) as blocks:
        async for data, _ in blocks:
            yield data


async def _json_lines(speech: TimedSpeech[Any]) -> ByteStream:
    """Yield a line of JSON for each block of audio, with the characters that begin in it."""
    async with aclosing(_encode(speech)) as blocks:
        async for data, timed in blocks:
            yield audio_line(data, speech.timestamp_fields(timed))


async def _encode(speech: TimedSpeech[T]) -> AsyncGenerator[tuple[bytes, list[T]], None]:
    """Yield non-empty blocks of encoded audio, each with the characters of the chunks that it completes."""
    encoder = AsyncEncoder(speech.audio_format)
    timed: list[T] = []
    async with aclosing(speech.chunks()) as chunks:
        async for chunk, characters in chunks:
            timed += characters
            if data := await encoder.feed(chunk.samples, chunk.sample_rate):
                yield data, timed
                timed = []
    if (data := await encoder.finish()) or timed:
        yield data, timed
