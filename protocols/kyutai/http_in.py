"""Recordings that come whole: heard word for word, or made into a voice."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from protocols.kyutai import messages, voice_payload
from protocols.kyutai.connection import host
from protocols.kyutai.http_answers import TASK, endpoint
from protocols.kyutai.meter import Meter
from protocols.kyutai.query import read_language
from protocols.kyutai.speech_in import PROTOCOL
from protocols.shared.disconnect import attended
from speech.audio.decoding import RECORDINGS, in_turn
from speech.audio.pcm import REFERENCE_RATE, decode_recording
from speech.errors import Busy
from speech.recognizer import HeardWord
from speech.service import SpeechService
from speech.session.recognition import RecognitionSession
from speech.types import Samples

LISTENING_RATE = 16_000
"""What recordings are decoded to, in hertz: no recogniser there is hears more."""

LONGEST_RECORDING_S = 600.0
"""How long a recording may be that is heard whole."""


def http_in_routes(service: SpeechService, max_body: int, meter: Meter) -> list[BaseRoute]:
    """``POST /api/asr-streaming`` and ``POST /api/voice``; max_body: bytes of a recording."""

    async def heard(request: Request) -> Response:
        language, body = read_language(request.query_params), await request.body()
        listening = service.listen(
            protocol=PROTOCOL, client=host(request), sample_rate=LISTENING_RATE, language=language
        )
        async with listening as session:
            recording = await in_turn(
                RECORDINGS, decode_recording, body, max_body, LONGEST_RECORDING_S, sample_rate=LISTENING_RATE
            )
            return JSONResponse(await attended(request, _hear(session, recording.samples), name=TASK))

    async def voice(request: Request) -> Response:
        began = time.perf_counter()
        body = await request.body()
        longest_s = voice_payload.SECONDS
        recording = await in_turn(
            RECORDINGS, decode_recording, body, max_body, longest_s, cut=True, sample_rate=REFERENCE_RATE
        )
        embeddings = await attended(request, service.cloning.embeddings(recording), name=TASK)
        meter.voice_made(time.perf_counter() - began)
        made = messages.voice(voice_payload.write(embeddings))
        return Response(made, media_type="application/octet-stream")

    return [
        Route("/api/asr-streaming", endpoint(heard), methods=["POST"]),
        Route("/api/voice", endpoint(voice), methods=["POST"]),
    ]


async def _hear(session: RecognitionSession, samples: Samples) -> list[dict[str, Any]]:
    """Every word, as the messages ``Word`` and ``EndWord`` would tell it. Raises Busy if the server stops."""
    told: list[dict[str, Any]] = []

    async def feed() -> None:
        for at in range(0, len(samples), LISTENING_RATE):
            await session.feed(samples[at : at + LISTENING_RATE])
        if session.finished:
            raise Busy("the server is shutting down")
        session.finish()

    feeding = asyncio.create_task(feed(), name="kyutai recording")
    try:
        async with aclosing(session.events()) as events:
            async for event in events:
                if isinstance(event, HeardWord):
                    told.append({"type": "Word", "text": event.text, "start_time": event.start_s})
                    told.append({"type": "EndWord", "stop_time": event.end_s})
        await feeding
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
    return told
