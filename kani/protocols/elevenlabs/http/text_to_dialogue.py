"""Text to dialogue by HTTP: whole or streamed, with or without character timestamps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import request_ids
from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.service import SpeechService
from kani.core.types import SpeechChunk
from kani.protocols.elevenlabs.formats import resolve_format
from kani.protocols.elevenlabs.http.dialogue import Dialogue, TimedLine, find_speakers
from kani.protocols.elevenlabs.http.dialogue_body import parse_dialogue
from kani.protocols.elevenlabs.http.responses import TASK_NAME, endpoint
from kani.protocols.elevenlabs.http.timestamps import SizedStream, audio_line, audio_with_fields
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.shared.calls.unused import unused_header
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.disconnect import cancel_on_disconnect
from kani.protocols.shared.memory_budget import MemoryBudget, Reservation
from kani.protocols.shared.streamed_answer import ByteStream, StreamedAnswer, in_blocks, prepend
from kani.protocols.shared.whole_answer import WholeAnswer

PATH = "/v1/text-to-dialogue"


def dialogue_routes(
    service: SpeechService, settings: ElevenLabsSettings, budget: MemoryBudget
) -> list[BaseRoute]:
    """Return the four calls. Errors are ``{"detail": …}`` with 400, 404, 422, 429, 500, 503 or 504.

    budget: memory of whole answers, the same as of other calls.
    """

    async def parse(request: Request, streamed: bool) -> tuple[Dialogue, AudioFormat, dict[str, str]]:
        body = parse_dialogue(await request.body(), settings.max_text)
        audio_format = resolve_format(request.query_params.get("output_format"), streamed=streamed)
        dialogue = Dialogue(
            service,
            body,
            await find_speakers(service, settings, body),
            languages=accept_languages(request.headers),
            client=client_address(request),
            low_latency=streamed,
        )
        request_id = request_ids.current()
        headers = {"request-id": request_id, "x-trace-id": request_id, "character-cost": str(body.length)}
        return dialogue, audio_format, headers

    async def whole(request: Request, *, timed: bool) -> Response:
        """Answer with the audio file, or with JSON that has its times too."""
        async with AsyncExitStack() as stack:
            memory = stack.enter_context(budget.reservation())
            dialogue, audio_format, headers = await parse(request, streamed=False)
            async with dialogue:
                encoding = _encode_whole(dialogue, audio_format, memory)
                data, lines = await cancel_on_disconnect(request, encoding, name=TASK_NAME)
                headers |= unused_header(dialogue.unused_fields)
            answer, media_type = SizedStream(len(data), in_blocks(data)), audio_format.content_type
            if timed:
                fields = await asyncio.to_thread(dialogue.timestamp_fields, lines)
                answer, media_type = audio_with_fields(data, fields), "application/json"
            headers["content-length"] = str(answer.length)
            return StreamedAnswer(
                answer.blocks, headers=headers, media_type=media_type, stack=stack.pop_all()
            )

    async def streamed(
        request: Request, produce: Callable[[Dialogue, AudioFormat], ByteStream], media_type: str | None
    ) -> Response:
        """Start the answer with the first audio, so that earlier errors have a status."""
        async with AsyncExitStack() as stack:
            dialogue, audio_format, headers = await parse(request, streamed=True)
            await stack.enter_async_context(dialogue)
            blocks = await stack.enter_async_context(aclosing(produce(dialogue, audio_format)))
            first = await cancel_on_disconnect(request, anext(blocks), name=TASK_NAME)
            return StreamedAnswer(
                prepend(first, blocks),
                headers=headers | unused_header(dialogue.unused_fields),
                media_type=media_type or audio_format.content_type,
                stack=stack.pop_all(),
            )

    async def convert(request: Request) -> Response:
        return await whole(request, timed=False)

    async def convert_with_timestamps(request: Request) -> Response:
        return await whole(request, timed=True)

    async def stream(request: Request) -> Response:
        return await streamed(request, _audio_blocks, None)

    async def stream_with_timestamps(request: Request) -> Response:
        return await streamed(request, _json_lines, "application/x-ndjson")

    return [
        Route(PATH, endpoint(convert), methods=["POST"]),
        Route(f"{PATH}/with-timestamps", endpoint(convert_with_timestamps), methods=["POST"]),
        Route(f"{PATH}/stream", endpoint(stream), methods=["POST"]),
        Route(f"{PATH}/stream/with-timestamps", endpoint(stream_with_timestamps), methods=["POST"]),
    ]


async def _encode_whole(
    dialogue: Dialogue, audio_format: AudioFormat, memory: Reservation
) -> tuple[bytes, list[TimedLine]]:
    """Encode the whole dialogue as a file, and time its characters. Raises SpeechError."""
    answer = WholeAnswer(memory, audio_format, max_s=None)
    lines: list[TimedLine] = []
    async with aclosing(dialogue.chunks()) as chunks:
        async for chunk in chunks:
            lines.append(chunk.line)
            await answer.add(SpeechChunk(chunk.samples, chunk.sample_rate, 0.0))
    return await asyncio.to_thread(answer.finish), lines


async def _audio_blocks(dialogue: Dialogue, audio_format: AudioFormat) -> ByteStream:
    """Yield encoded audio while it is synthesized."""
    async with aclosing(_encode(dialogue, audio_format)) as blocks:
        async for data, _ in blocks:
            yield data


async def _json_lines(dialogue: Dialogue, audio_format: AudioFormat) -> ByteStream:
    """Yield a line of JSON for each block of audio, with the characters that begin in it."""
    async with aclosing(_encode(dialogue, audio_format)) as blocks:
        async for data, lines in blocks:
            yield audio_line(data, dialogue.timestamp_fields(lines))


async def _encode(
    dialogue: Dialogue, audio_format: AudioFormat
) -> AsyncGenerator[tuple[bytes, list[TimedLine]], None]:
    """Yield non-empty blocks of encoded audio, each with the characters of the chunks that it completes."""
    encoder = AsyncEncoder(audio_format)
    lines: list[TimedLine] = []
    async with aclosing(dialogue.chunks()) as chunks:
        async for chunk in chunks:
            lines.append(chunk.line)
            if data := await encoder.feed(chunk.samples, chunk.sample_rate):
                yield data, lines
                lines = []
    if (data := await encoder.finish()) or any(line.characters.written.text for line in lines):
        yield data, lines
