"""The REST calls of Kani's original server: a WAV file, or samples while they are made."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core.audio import synthetic_mark
from kani.core.audio.pcm import pcm16
from kani.core.errors import Busy, InvalidRequest, SpeechError, TimedOut
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.types import SpeechChunk
from kani.protocols.kani.messages import SAMPLE_RATE, SpeakRequest, clean_names, error_message, read_body
from kani.protocols.kani.request import STREAMED, WAV, NamedVoices, open_speech
from kani.protocols.shared.calls.bodies import unused_header
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.cloning_report import cloning_fields
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.errors import BadMessage, Handler, answering, json_response
from kani.protocols.shared.streamed_answer import ByteStream, begun_answer, complete_answer
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.protocols.shared.whole_answer import WholeAnswer

END_PACKET = (0).to_bytes(4, "little")
FAILURE_PACKET = b"\xff\xff\xff\xff"

Endpoint = Callable[[Request, SpeechService, SpeakRequest], Awaitable[Response]]


def http_routes(service: SpeechService) -> list[BaseRoute]:
    """Return ``POST /tts`` (WAV) and ``POST /stream-tts`` (length-prefixed samples)."""

    async def whole(request: Request, service: SpeechService, speak: SpeakRequest) -> Response:
        async with AsyncExitStack() as stack:
            memory = stack.enter_context(service.budgets.whole_answers.share(STREAMED))
            answer = WholeAnswer(memory, WAV)
            async with _opened(request, service, speak) as (session, chunks):
                data = await cancel_on_disconnect(request, answer.collect(chunks))
                headers = _headers(session, speak)
            return complete_answer(data, stack, headers=headers, media_type="audio/wav")

    def endpoint(answer: Endpoint) -> Handler:
        async def handle(request: Request) -> Response:
            return await answer(request, service, read_body(await request.body()))

        return answering(handle, _refuse, BadMessage, SpeechError)

    return [
        Route("/tts", endpoint(whole), methods=["POST"]),
        Route("/stream-tts", endpoint(_streamed), methods=["POST"]),
    ]


def _refuse(error: BadMessage | SpeechError) -> Response:
    reason = str(error) if isinstance(error, BadMessage) else error_message(error)
    match error:
        case BadMessage() | InvalidRequest():
            status = 400
        case Busy():
            status = 503
        case TimedOut():
            status = 504
        case _:
            status = 500
    return json_response({"detail": reason}, status)


@asynccontextmanager
async def _opened(
    request: Request, service: SpeechService, speak: SpeakRequest
) -> AsyncGenerator[tuple[SpeechSession, AsyncGenerator[SpeechChunk, None]], None]:
    languages = accept_languages(request.headers)
    with service.budgets.references.share() as memory:
        voices = NamedVoices(memory)
        async with open_speech(service, speak, client_address(request), languages, voices) as opened:
            yield opened


async def _streamed(request: Request, service: SpeechService, speak: SpeakRequest) -> Response:
    """Return a response that starts with the first audio: an error before that still gets its status."""
    speak = replace(speak, wants_chunks=True, wants_whole=False)
    async with AsyncExitStack() as stack:
        session, chunks = await stack.enter_async_context(_opened(request, service, speak))
        headers = {"X-Sample-Rate": str(SAMPLE_RATE), "X-Channels": "1", "X-Bit-Depth": "16"}
        return await begun_answer(
            request,
            _packets(chunks),
            stack,
            headers=lambda: headers | _headers(session, speak),
            media_type="application/octet-stream",
        )


def _headers(session: SpeechSession, speak: SpeakRequest) -> dict[str, str]:
    """Return the metadata's ``unused`` and cloning fields and the mark as headers; X-Similarity is JSON."""
    fields = cloning_fields(session)
    if "similarity" in fields:
        fields["similarity"] = json.dumps(fields["similarity"])
    headers = {f"X-{name.replace('_', '-').title()}": value for name, value in fields.items()}
    headers |= synthetic_mark.headers()
    return headers | unused_header(clean_names([*session.unused_fields, *speak.unused]))


async def _packets(chunks: AsyncIterator[SpeechChunk]) -> ByteStream:
    """Yield the audio. Raises SpeechError before it; then a packet says so."""
    begun = False
    try:
        async for chunk in chunks:
            if len(chunk.samples) or not begun:
                begun = True
                pcm = pcm16(chunk.samples)
                yield len(pcm).to_bytes(4, "little") + pcm
    except SpeechError:
        if not begun:
            raise
        yield FAILURE_PACKET
        return
    yield END_PACKET
