"""Text to speech by HTTP: whole or streamed, with or without character timestamps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import request_ids
from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.timing.characters import FormsClock, TimedForms
from kani.core.types import Span, SpeechRequest
from kani.core.voices.store import CUSTOM_PREFIX
from kani.protocols.elevenlabs.formats import resolve_format
from kani.protocols.elevenlabs.http.body import SpeechBody, parse_body
from kani.protocols.elevenlabs.http.responses import TASK_NAME, endpoint
from kani.protocols.elevenlabs.http.timestamps import (
    SizedStream,
    alignment_fields,
    audio_line,
    audio_with_fields,
)
from kani.protocols.elevenlabs.settings import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import resolve_voice
from kani.protocols.shared.calls.unused import unused_header
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.disconnect import cancel_on_disconnect
from kani.protocols.shared.memory_budget import MemoryBudget, Reservation
from kani.protocols.shared.streamed_answer import ByteStream, StreamedAnswer, in_blocks, prepend
from kani.protocols.shared.whole_answer import MAX_WHOLE_ANSWER_BYTES, WholeAnswer

PROTOCOL = "elevenlabs"
PATH = "/v1/text-to-speech/{voice_id}"

Producer = Callable[[SpeechSession, "ConvertRequest"], ByteStream]


@dataclass(frozen=True, slots=True)
class ConvertRequest:
    """A validated request."""

    body: SpeechBody
    speech: SpeechRequest
    audio_format: AudioFormat

    def headers(self, session: SpeechSession) -> dict[str, str]:
        """Return the answer's headers, known once the session has a voice.

        ``character-cost``: characters of the text; ``x-cloning``: the kind of cloning of a stored voice;
        ``x-unused``: names of the given fields without effect.
        """
        request_id = request_ids.current()
        headers = {
            "request-id": request_id,
            "x-trace-id": request_id,
            "character-cost": str(len(self.body.text)),
        }
        if (self.speech.voice or "").startswith(CUSTOM_PREFIX):
            headers["x-cloning"] = session.cloning_kind
        return headers | unused_header(self.body.unused_fields(session.unused_fields))


def whole_answer_budget() -> MemoryBudget:
    """Make the memory budget of whole answers."""
    return MemoryBudget(MAX_WHOLE_ANSWER_BYTES, alternative="ask for /stream")


def speech_routes(
    service: SpeechService, settings: ElevenLabsSettings, budget: MemoryBudget
) -> list[BaseRoute]:
    """Return the four calls. Errors are ``{"detail": …}`` with 400, 404, 422, 429, 500, 503 or 504.

    budget: memory of whole answers, the same as of other calls.
    """

    async def parse(request: Request, streamed: bool) -> ConvertRequest:
        body = parse_body(await request.body(), settings.max_text)
        audio_format = resolve_format(request.query_params.get("output_format"), streamed=streamed)
        voice_id = request.path_params["voice_id"]
        voice = await asyncio.to_thread(resolve_voice, service, voice_id, settings, body.language)
        return ConvertRequest(
            body, body.speech_request(voice, accept_languages(request.headers)), audio_format
        )

    def open_session(request: Request, parsed: ConvertRequest, low_latency: bool) -> SpeechSession:
        return service.open(
            parsed.speech,
            protocol=PROTOCOL,
            client=client_address(request),
            low_latency=low_latency,
            max_text=settings.max_text,
        )

    async def whole(request: Request, compose: Callable[[bytes, TimedForms], SizedStream] | None) -> Response:
        """Answer with the audio file, or with ``compose`` of the file and its character times."""
        parsed = await parse(request, streamed=False)
        async with AsyncExitStack() as stack:
            memory = stack.enter_context(budget.reservation())
            async with open_session(request, parsed, low_latency=False) as session:
                _feed(session, parsed)
                encoding = _encode_whole(session, parsed, memory)
                data, timed = await cancel_on_disconnect(request, encoding, name=TASK_NAME)
                headers = parsed.headers(session)
            answer, media_type = SizedStream(len(data), in_blocks(data)), parsed.audio_format.content_type
            if compose is not None:
                answer, media_type = await asyncio.to_thread(compose, data, timed), "application/json"
            headers["content-length"] = str(answer.length)
            return StreamedAnswer(
                answer.blocks, headers=headers, media_type=media_type, stack=stack.pop_all()
            )

    async def streamed(request: Request, produce: Producer, media_type: str | None) -> Response:
        """Start the answer with the first audio, so that earlier errors have a status."""
        parsed = await parse(request, streamed=True)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(open_session(request, parsed, low_latency=True))
            _feed(session, parsed)
            blocks = await stack.enter_async_context(aclosing(produce(session, parsed)))
            first = await cancel_on_disconnect(request, anext(blocks), name=TASK_NAME)
            return StreamedAnswer(
                prepend(first, blocks),
                headers=parsed.headers(session),
                media_type=media_type or parsed.audio_format.content_type,
                stack=stack.pop_all(),
            )

    async def convert(request: Request) -> Response:
        return await whole(request, None)

    async def convert_with_timestamps(request: Request) -> Response:
        return await whole(request, _audio_with_timestamps)

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


def _feed(session: SpeechSession, parsed: ConvertRequest) -> None:
    session.feed(parsed.body.spoken)
    session.finish()


async def _encode_whole(
    session: SpeechSession, parsed: ConvertRequest, memory: Reservation
) -> tuple[bytes, TimedForms]:
    """Encode the whole session as a file, and time its characters. Raises SpeechError."""
    clock = FormsClock()
    clock.feed(parsed.body.text)
    answer = WholeAnswer(memory, parsed.audio_format, max_s=None)
    async for chunk in session:
        await answer.add(chunk)
    data = await asyncio.to_thread(answer.finish)
    return data, clock.align(answer.spans)


def _audio_with_timestamps(data: bytes, timed: TimedForms) -> SizedStream:
    return audio_with_fields(data, alignment_fields([timed]))


async def _audio_blocks(session: SpeechSession, parsed: ConvertRequest) -> ByteStream:
    """Yield encoded audio while it is synthesized."""
    async for data, _ in _encode(session, parsed.audio_format):
        yield data


async def _json_lines(session: SpeechSession, parsed: ConvertRequest) -> ByteStream:
    """Yield a line of JSON for each block of audio, with the characters that begin in it."""
    clock = FormsClock()
    clock.feed(parsed.body.text)
    async for data, spans in _encode(session, parsed.audio_format):
        yield audio_line(data, alignment_fields([clock.align(spans)]))


async def _encode(
    session: SpeechSession, audio_format: AudioFormat
) -> AsyncGenerator[tuple[bytes, list[Span]], None]:
    """Yield non-empty blocks of encoded audio, each with the spans of the chunks that it completes."""
    encoder = AsyncEncoder(audio_format)
    spans: list[Span] = []
    async for chunk in session:
        spans += chunk.spans
        if data := await encoder.feed(chunk.samples, chunk.sample_rate):
            yield data, spans
            spans = []
    if (data := await encoder.finish()) or spans:
        yield data, spans
