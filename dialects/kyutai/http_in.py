"""Recordings that come whole: heard word for word, or made into a voice."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dialects.kyutai import messages
from dialects.kyutai.embedding import SECONDS, embed
from dialects.kyutai.http_answers import attended, endpoint
from dialects.kyutai.meter import Meter
from dialects.kyutai.query import read_language
from dialects.kyutai.speech_in import PROTOCOL
from speech.audio import decode_recording
from speech.recognition import RecognitionSession
from speech.recognizer import HeardWord
from speech.service import SpeechService
from speech.types import Recording

LONGEST_RECORDING_S = 900.0
"""How long a recording may be that is heard whole."""


def http_in_routes(service: SpeechService, max_body: int, meter: Meter) -> list[BaseRoute]:
    """``POST /api/asr-streaming`` and ``POST /api/voice``; max_body: bytes of a recording."""

    async def heard(request: Request) -> Response:
        language = read_language(request.query_params)
        recording = await asyncio.to_thread(
            decode_recording, await request.body(), max_body, LONGEST_RECORDING_S
        )
        client = request.client.host if request.client else ""
        listening = service.listen(
            protocol=PROTOCOL, client=client, sample_rate=recording.sample_rate, language=language
        )
        async with listening as session:
            return JSONResponse(await attended(request, _hear(session, recording)))

    async def voice(request: Request) -> Response:
        began = time.perf_counter()
        body = await request.body()
        made = await asyncio.to_thread(_voice, body, max_body)
        meter.voice_made(time.perf_counter() - began)
        return Response(made, media_type="application/octet-stream")

    return [
        Route("/api/asr-streaming", endpoint(heard), methods=["POST"]),
        Route("/api/voice", endpoint(voice), methods=["POST"]),
    ]


async def _hear(session: RecognitionSession, recording: Recording) -> list[dict[str, Any]]:
    """Every word, as the messages ``Word`` and ``EndWord`` would tell it."""
    rate, told = recording.sample_rate, []

    async def feed() -> None:
        for at in range(0, len(recording.samples), rate):
            await session.feed(recording.samples[at : at + rate])
        session.finish()

    feeding = asyncio.create_task(feed(), name="kyutai recording")
    try:
        async for event in session.events():
            if isinstance(event, HeardWord):
                told.append({"type": "Word", "text": event.text, "start_time": event.start_s})
                told.append({"type": "EndWord", "stop_time": event.end_s})
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
    return told


def _voice(data: bytes, max_body: int) -> bytes:
    return messages.voice(embed(decode_recording(data, max_body, SECONDS, cut=True)))
