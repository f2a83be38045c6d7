"""``POST /v1/audio/files``: samples as an audio file, so that what was heard can be saved in any format."""

import asyncio
from collections.abc import AsyncIterable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from kani.core.audio.encoding import FileEncoder, run_encoding
from kani.core.audio.pcm import Pcm16Stream
from kani.core.types import Samples
from kani.protocols.openai.speech.formats import SAMPLE_RATE, resolve_format
from kani.protocols.shared.errors import RequestError, field_error

PATH = "/v1/audio/files"

MAX_BYTES = 256 << 20
"""Longest body: an hour and a half of 24 kHz."""

MAX_AT_ONCE = 2
"""Files that are encoded at once: each has a hundred MiB at most, and takes a core."""

WAIT_S = 10.0
"""Most seconds of the wait for a place."""


class AudioFiles:
    """Encodes bodies of 16-bit mono PCM, little-endian; nothing of them is kept."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def create(self, request: Request) -> Response:
        """Answer with the file. Raises RequestError."""
        query = request.query_params
        rate = _rate(query)
        audio_format = resolve_format(query.get("response_format"), rate)
        try:
            async with asyncio.timeout(WAIT_S):
                await self._places.acquire()
        except TimeoutError:
            raise RequestError(503, "other files are being encoded: try again later") from None
        try:
            encoder = FileEncoder(audio_format, rate)
            async for samples in _samples(request.stream()):
                await run_encoding(audio_format, encoder.add, samples)
            content = await asyncio.to_thread(encoder.finish)
        finally:
            self._places.release()
        return Response(content, media_type=audio_format.content_type, headers={"cache-control": "no-store"})


def _rate(query: Mapping[str, str]) -> int:
    """Return the samples' rate in hertz, which the file has, too. Raises RequestError."""
    given = query.get("sample_rate", str(SAMPLE_RATE))
    if not given.isascii() or not given.isdecimal() or len(given) > 6:
        raise field_error("sample_rate", "must be a whole number")
    return int(given)


async def _samples(body: AsyncIterable[bytes]) -> AsyncIterable[Samples]:
    """Yield the samples, in [-1, 1]. Raises RequestError if the body ends within one."""
    pcm = Pcm16Stream()
    async for piece in body:
        samples = pcm.feed(piece)
        if len(samples):
            yield samples
    if pcm.rest:
        raise RequestError(400, "the body must be samples of two bytes each", None, "invalid_value")
