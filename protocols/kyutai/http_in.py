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
from protocols.kyutai.connection import client_address
from protocols.kyutai.http_answers import TASK_NAME, endpoint
from protocols.kyutai.meter import Meter
from protocols.kyutai.query import read_language
from protocols.kyutai.speech_in import PROTOCOL
from protocols.shared.disconnect import cancel_on_disconnect
from speech.audio.decoding import RECORDING_POOL, run_in_pool
from speech.audio.pcm import REFERENCE_RATE, decode_recording
from speech.errors import Busy
from speech.recognizer import RecognizedWord
from speech.service import SpeechService
from speech.session.recognition import RecognitionSession
from speech.types import Samples

RECOGNITION_RATE = 16_000
"""What recordings are decoded to, in hertz: no recogniser there is hears more."""

MAX_RECORDING_S = 600.0
"""How long a recording may be that is heard whole."""


def recording_routes(service: SpeechService, max_body: int, meter: Meter) -> list[BaseRoute]:
    """``POST /api/asr-streaming`` and ``POST /api/voice``; max_body: bytes of a recording."""

    async def heard(request: Request) -> Response:
        language, body = read_language(request.query_params), await request.body()
        listening = service.open_recognition(
            protocol=PROTOCOL, client=client_address(request), sample_rate=RECOGNITION_RATE, language=language
        )
        async with listening as session:
            recording = await run_in_pool(
                RECORDING_POOL,
                decode_recording,
                body,
                max_body,
                MAX_RECORDING_S,
                sample_rate=RECOGNITION_RATE,
            )
            return JSONResponse(
                await cancel_on_disconnect(request, _hear(session, recording.samples), name=TASK_NAME)
            )

    async def voice(request: Request) -> Response:
        began = time.perf_counter()
        body = await request.body()
        longest_s = voice_payload.MAX_RECORDING_S
        recording = await run_in_pool(
            RECORDING_POOL,
            decode_recording,
            body,
            max_body,
            longest_s,
            truncate=True,
            sample_rate=REFERENCE_RATE,
        )
        embeddings = await cancel_on_disconnect(
            request, service.cloning.embed_with_all_engines(recording), name=TASK_NAME
        )
        meter.voice_embedded(time.perf_counter() - began)
        made = messages.voice(voice_payload.pack(embeddings))
        return Response(made, media_type="application/octet-stream")

    return [
        Route("/api/asr-streaming", endpoint(heard), methods=["POST"]),
        Route("/api/voice", endpoint(voice), methods=["POST"]),
    ]


async def _hear(session: RecognitionSession, samples: Samples) -> list[dict[str, Any]]:
    """Every word, as the messages ``Word`` and ``EndWord`` would tell it. Raises Busy if the server stops."""
    told: list[dict[str, Any]] = []

    async def feed() -> None:
        for at in range(0, len(samples), RECOGNITION_RATE):
            await session.feed(samples[at : at + RECOGNITION_RATE])
        if session.finished:
            raise Busy("the server is shutting down")
        session.finish()

    feeding = asyncio.create_task(feed(), name="kyutai recording")
    try:
        async with aclosing(session.events()) as events:
            async for event in events:
                if isinstance(event, RecognizedWord):
                    told.append({"type": "Word", "text": event.text, "start_time": event.start_s})
                    told.append({"type": "EndWord", "stop_time": event.end_s})
        await feeding
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
    return told
