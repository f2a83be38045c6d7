"""The original's two REST calls: a WAV file, or samples as they are made."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from protocols.kani.messages import SAMPLE_RATE, BadMessage, SpeakRequest, error_message, read_body
from protocols.kani.request import NamedVoices, Whole, open_speech
from protocols.shared.cloning_report import cloning_fields
from protocols.shared.memory_budget import MemoryBudget
from speech.audio.pcm import pcm16
from speech.errors import Busy, InvalidRequest, SpeechError, TimedOut
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.types import SpeechChunk

END_PACKET = (0).to_bytes(4, "little")
FAILURE_PACKET = b"\xff\xff\xff\xff"

Answer = Callable[[Request, SpeechService, SpeakRequest], Awaitable[Response]]


def http_routes(service: SpeechService, whole_answers: MemoryBudget) -> list[BaseRoute]:
    """``POST /tts`` (WAV) and ``POST /stream-tts`` (length-prefixed samples).

    whole_answers: the memory of answers that are sent whole.
    """

    async def whole(request: Request, service: SpeechService, speak: SpeakRequest) -> Response:
        with ExitStack() as held:
            share = held.enter_context(whole_answers.reservation())
            return await _whole(request, service, speak, Whole(share), held)

    def endpoint(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            try:
                return await answer(request, service, read_body(await request.body()))
            except BadMessage as error:
                return _refusal(400, str(error))
            except InvalidRequest as error:
                return _refusal(400, error_message(error))
            except Busy as error:
                return _refusal(503, error_message(error))
            except TimedOut as error:
                return _refusal(504, error_message(error))
            except SpeechError as error:
                return _refusal(500, error_message(error))

        return handle

    return [
        Route("/tts", endpoint(whole), methods=["POST"]),
        Route("/stream-tts", endpoint(_streamed), methods=["POST"]),
    ]


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"detail": reason.encode("utf-8", "replace").decode()}, status)


async def _whole(
    request: Request, service: SpeechService, speak: SpeakRequest, whole: Whole, held: ExitStack
) -> Response:
    """The WAV file; the answer takes over what is ``held`` for it."""
    async with (
        open_speech(service, speak, request, NamedVoices()) as (session, chunks),
        _attended(request, session.cancel),
    ):
        async for chunk in chunks:
            whole.add(chunk)
        headers = _likeness_headers(session)
    data = await asyncio.to_thread(whole.wav)
    return _Held(data, headers, held.pop_all())


async def _streamed(request: Request, service: SpeechService, speak: SpeakRequest) -> Response:
    """The response starts with the first audio, so that what goes wrong before it has a status."""
    speak = replace(speak, wants_chunks=True, wants_whole=False)
    async with AsyncExitStack() as stack:
        session, chunks = await stack.enter_async_context(open_speech(service, speak, request, NamedVoices()))
        async with _attended(request, session.cancel):
            first = await anext(chunks)
        headers = {"X-Sample-Rate": str(SAMPLE_RATE), "X-Channels": "1", "X-Bit-Depth": "16"}
        return _Stream(_packets(first, chunks), headers | _likeness_headers(session), stack.pop_all())


def _likeness_headers(session: SpeechSession) -> dict[str, str]:
    """What the metadata of the WebSocket's answers say of a recording; X-Similarity is JSON."""
    told = cloning_fields(session)
    if "similarity" in told:
        told["similarity"] = json.dumps(told["similarity"])
    return {f"X-{name.replace('_', '-').title()}": value for name, value in told.items()}


async def _packets(first: SpeechChunk, rest: AsyncIterator[SpeechChunk]) -> AsyncIterator[bytes]:
    yield _packet(first)
    try:
        async for chunk in rest:
            if len(chunk.samples):
                yield _packet(chunk)
    except SpeechError:
        yield FAILURE_PACKET
        return
    yield END_PACKET


def _packet(chunk: SpeechChunk) -> bytes:
    pcm = pcm16(chunk.samples)
    return len(pcm).to_bytes(4, "little") + pcm


class _Held(Response):
    """A WAV file that gives back what was held for it when it is sent, or its client has gone."""

    def __init__(self, content: bytes, headers: dict[str, str], held: ExitStack) -> None:
        super().__init__(content, headers=headers, media_type="audio/wav")
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await super().__call__(scope, receive, send)


class _Stream(StreamingResponse):
    """A streamed body that frees its session when it ends, also when its client has gone."""

    def __init__(
        self, content: AsyncIterator[bytes], headers: dict[str, str], session: AsyncExitStack
    ) -> None:
        super().__init__(content, headers=headers, media_type="application/octet-stream")
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._session:
            await super().__call__(scope, receive, send)


@asynccontextmanager
async def _attended(request: Request, leave: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``leave`` as soon as the client of ``request``, whose body was read, goes away."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        leave()

    watcher = asyncio.create_task(watch(), name="client of a request")
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.wait([watcher])
