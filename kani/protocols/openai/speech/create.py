"""POST /v1/audio/speech: audio as bytes or as events, while it is made or whole."""

import math
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from starlette.requests import Request
from starlette.responses import Response

from kani.core.audio.encoding import AsyncEncoder, AudioFormat
from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.protocols.openai.errors import api_error, endpoint
from kani.protocols.openai.speech.body import SpeechFields, parse_body, read_object
from kani.protocols.openai.speech.utterance import Utterance, open_utterance
from kani.protocols.shared.calls.bodies import sse
from kani.protocols.shared.errors import Handler
from kani.protocols.shared.streamed_answer import ByteStream, begun_answer, complete_answer
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.protocols.shared.whole_answer import WholeAnswer

SSE_TYPE = "text/event-stream"
SSE_BLOCK_BYTES = 3 * 2048
"""Most bytes of audio in one event; a multiple of 3, so that only the last has padding in its base64."""

CHARACTERS_A_TOKEN = 4
TOKENS_A_SECOND = 20
"""OpenAI's measures of written text (its rule of thumb) and of spoken audio (a token each 50 ms)."""


def create_endpoint(service: SpeechService, max_text: int) -> Handler:
    """Return the call. A stream starts with the first audio, so that earlier errors have a status.

    max_text: characters.
    """

    async def create(request: Request) -> Response:
        body = parse_body(read_object(await request.body()), max_text, SpeechFields)
        async with AsyncExitStack() as stack:
            opened = await open_utterance(service, request, body, timed=False)
            utterance = await stack.enter_async_context(opened)
            if body.whole:
                memory = stack.enter_context(service.budgets.whole_answers.share("ask for it as a stream"))
                collected = WholeAnswer(memory, body.audio_format, max_s=None).collect(utterance.chunks())
                data = await cancel_on_disconnect(request, collected)
                media_type = body.audio_format.content_type
                return complete_answer(data, stack, headers=utterance.headers, media_type=media_type)
            blocks = _encode(utterance, body.audio_format)
            if body.sse:
                blocks = _events(utterance, blocks)
            return await begun_answer(
                request,
                blocks,
                stack,
                headers=lambda: utterance.headers | {"cache-control": "no-cache"},
                media_type=SSE_TYPE if body.sse else body.audio_format.content_type,
            )

    return endpoint(create)


async def _encode(utterance: Utterance, audio_format: AudioFormat) -> ByteStream:
    """Yield non-empty blocks of encoded audio while it is made. Raises SpeechError."""
    encoder = AsyncEncoder(audio_format)
    async for chunk in utterance.chunks():
        if data := await encoder.feed(chunk.samples, chunk.sample_rate):
            yield data
    if data := await encoder.finish():
        yield data


async def _events(utterance: Utterance, blocks: ByteStream) -> AsyncGenerator[bytes, None]:
    """Yield the audio as events: a delta for each block, and the end.

    Raises SpeechError; once audio was sent, after an event that says why: that breaks the connection off, for
    the clients that know no such event.
    """
    begun = False
    try:
        async with aclosing(blocks):
            async for block in blocks:
                for start in range(0, len(block), SSE_BLOCK_BYTES):
                    audio = block[start : start + SSE_BLOCK_BYTES]
                    begun = True
                    yield sse({"type": "speech.audio.delta", "audio": audio})
    except SpeechError as error:
        if begun:
            yield sse({"type": "error", "error": api_error(error).as_json()})
        raise
    usage = _usage(utterance)
    # Speaches calls it token_usage, and its clients need it.
    yield sse({"type": "speech.audio.done", "usage": usage, "token_usage": usage})


def _usage(utterance: Utterance) -> dict[str, int]:
    """Estimate the tokens that OpenAI's service would count: engines here have others, or none."""
    written = math.ceil(len(utterance.text) / CHARACTERS_A_TOKEN)
    spoken = math.ceil(utterance.duration_s * TOKENS_A_SECOND)
    return {"input_tokens": written, "output_tokens": spoken, "total_tokens": written + spoken}
