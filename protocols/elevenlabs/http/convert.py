"""Text to speech by HTTP: whole or as it is made, with the time of each character or without."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from protocols.elevenlabs.formats import resolve_format
from protocols.elevenlabs.http.body import SpeechBody, parse_body
from protocols.elevenlabs.http.responses import TASK_NAME, endpoint
from protocols.elevenlabs.http.timestamps import timestamps_json
from protocols.elevenlabs.http.whole import MAX_ANSWER_BYTES, encode_whole
from protocols.elevenlabs.settings import ElevenLabsSettings
from protocols.elevenlabs.voice_ids import resolve_voice
from protocols.shared.client_languages import accept_languages
from protocols.shared.disconnect import cancel_on_disconnect
from protocols.shared.memory_budget import MemoryBudget
from speech import request_ids
from speech.audio.encoding import AudioFormat, Encoder, create_encoder
from speech.errors import SpeechError
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.timing.characters import FormsClock, TimedForms
from speech.types import Span, SpeechRequest
from speech.voices.store import CUSTOM_PREFIX as KEPT

PROTOCOL = "elevenlabs"
PATH = "/v1/text-to-speech/{voice_id}"

Pieces = AsyncGenerator[bytes, None]
Maker = Callable[[SpeechSession, "Order"], Pieces]


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks for, checked."""

    body: SpeechBody
    speech: SpeechRequest
    audio_format: AudioFormat

    def headers(self, session: SpeechSession) -> dict[str, str]:
        """What is said of the answer beside it, once somebody speaks: its id and what it cost, in characters;
        ``x-cloning`` how a kept voice is spoken; ``x-unused`` names what was asked for in vain.
        """
        request_id = request_ids.current()
        told = {
            "request-id": request_id,
            "x-trace-id": request_id,
            "character-cost": str(len(self.body.text)),
        }
        if (self.speech.voice or "").startswith(KEPT):
            told["x-cloning"] = session.cloning_kind
        unused = self.body.unused_fields(session.unused_fields)
        return told | {"x-unused": ", ".join(unused)} if unused else told


_PIECE_BYTES = 3 * 32 * 1024
"""What of a whole answer is sent at once; base64 of so much has no padding."""


class Whole(NamedTuple):
    """An answer that is there: its bytes, in pieces, and how many they are."""

    length: int
    pieces: Pieces


def speech_routes(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """The four calls. Errors are ``{"detail": …}`` with 400, 404, 422, 429, 500, 503 or 504."""
    budget = MemoryBudget(MAX_ANSWER_BYTES, alternative="ask for /stream")

    async def ordered(request: Request, streamed: bool) -> Order:
        body = parse_body(await request.body(), settings.max_text)
        chosen = resolve_format(request.query_params.get("output_format"), streamed=streamed)
        named = request.path_params["voice_id"]
        voice = await asyncio.to_thread(resolve_voice, service, named, settings, body.language)
        return Order(body, body.speech_request(voice, accept_languages(request.headers)), chosen)

    def opened(request: Request, order: Order, at_once: bool) -> SpeechSession:
        return service.open(
            order.speech,
            protocol=PROTOCOL,
            client=request.client.host if request.client else "",
            low_latency=at_once,
            max_text=settings.max_text,
        )

    async def answered(request: Request, compose: Callable[[bytes, TimedForms], Whole] | None) -> Response:
        """The whole speech as a file, or as what ``compose`` makes of it and of its characters' times."""
        order = await ordered(request, streamed=False)
        async with AsyncExitStack() as stack:
            share = stack.enter_context(budget.reservation())
            async with opened(request, order, at_once=False) as session:
                _say(session, order)
                speech = encode_whole(session, order.body.text, order.audio_format, share)
                data, timed = await cancel_on_disconnect(request, speech, name=TASK_NAME)
                headers = order.headers(session)
            whole, media_type = _file(data), order.audio_format.content_type
            if compose is not None:
                whole, media_type = await asyncio.to_thread(compose, data, timed), "application/json"
            headers["content-length"] = str(whole.length)
            return _Stream(whole.pieces, headers=headers, media_type=media_type, stack=stack.pop_all())

    async def streamed(request: Request, make: Maker, media_type: str | None) -> Response:
        """It starts with the first audio, so that what goes wrong before has a status."""
        order = await ordered(request, streamed=True)
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(opened(request, order, at_once=True))
            _say(session, order)
            pieces = await stack.enter_async_context(aclosing(make(session, order)))
            first = await cancel_on_disconnect(request, anext(pieces), name=TASK_NAME)
            return _Stream(
                _behind(first, pieces),
                headers=order.headers(session),
                media_type=media_type or order.audio_format.content_type,
                stack=stack.pop_all(),
            )

    async def convert(request: Request) -> Response:
        return await answered(request, None)

    async def convert_with_timestamps(request: Request) -> Response:
        return await answered(request, _with_timestamps)

    async def stream(request: Request) -> Response:
        return await streamed(request, _audio, None)

    async def stream_with_timestamps(request: Request) -> Response:
        return await streamed(request, _lines, "application/x-ndjson")

    return [
        Route(PATH, endpoint(convert), methods=["POST"]),
        Route(f"{PATH}/with-timestamps", endpoint(convert_with_timestamps), methods=["POST"]),
        Route(f"{PATH}/stream", endpoint(stream), methods=["POST"]),
        Route(f"{PATH}/stream/with-timestamps", endpoint(stream_with_timestamps), methods=["POST"]),
    ]


def _say(session: SpeechSession, order: Order) -> None:
    session.feed(order.body.text)
    session.finish()


def _file(data: bytes) -> Whole:
    """Speech as it is."""

    async def pieces() -> Pieces:
        for at in range(0, len(data), _PIECE_BYTES):
            yield data[at : at + _PIECE_BYTES]

    return Whole(len(data), pieces())


def _with_timestamps(data: bytes, timed: TimedForms) -> Whole:
    """Speech in JSON, written as it is sent: whole, it would be there once more, and a third longer."""
    head, tail = json.dumps(timestamps_json("|", timed)).encode().split(b"|", 1)

    async def pieces() -> Pieces:
        yield head
        for at in range(0, len(data), _PIECE_BYTES):
            yield base64.b64encode(data[at : at + _PIECE_BYTES])
        yield tail

    return Whole(len(head) + -(-len(data) // 3) * 4 + len(tail), pieces())


async def _audio(session: SpeechSession, order: Order) -> Pieces:
    """The audio as it is made."""
    async for data, _ in _encoded(session, order.audio_format):
        yield data


async def _lines(session: SpeechSession, order: Order) -> Pieces:
    """The audio as it is made, each piece a line of JSON with the characters that begin in it."""
    clock = FormsClock()
    clock.feed(order.body.text)
    async for data, spans in _encoded(session, order.audio_format):
        line = timestamps_json(base64.b64encode(data).decode(), clock.align(spans))
        yield json.dumps(line).encode() + b"\n"


async def _encoded(
    session: SpeechSession, chosen: AudioFormat
) -> AsyncGenerator[tuple[bytes, list[Span]], None]:
    """Audio of a session, never empty, with the spans of what went into it."""
    stream: Encoder | None = None
    spans: list[Span] = []
    async for chunk in session:
        if stream is None:
            stream = create_encoder(chosen, chunk.sample_rate)
        spans += chunk.spans
        if data := await asyncio.to_thread(stream.feed, chunk.samples):
            yield data, spans
            spans = []
    if stream is not None and ((data := await asyncio.to_thread(stream.finish)) or spans):
        yield data, spans


async def _behind(first: bytes, rest: Pieces) -> Pieces:
    yield first
    async for piece in rest:
        yield piece


class _Stream(StreamingResponse):
    """An answer in pieces, each sent when the one before it was taken.

    It frees its session, or what it holds, when it ends, also when its client has gone.
    """

    def __init__(
        self, content: Pieces, *, headers: dict[str, str], media_type: str, stack: AsyncExitStack
    ) -> None:
        super().__init__(content, headers=headers, media_type=media_type)
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            try:
                await super().__call__(scope, receive, send)
            except SpeechError:
                # Its status is sent, and the session has logged what broke. Without its last piece the
                # answer is cut off, and no client takes it for whole.
                return
