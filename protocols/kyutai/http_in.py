"""HTTP endpoints for whole recordings: recognition, and the making of voices."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from protocols.kyutai import messages, voice_payload
from protocols.kyutai.connection import TASK_NAME, endpoint
from protocols.kyutai.metrics import KyutaiMetrics
from protocols.kyutai.query import read_language
from protocols.kyutai.speech_in import PROTOCOL
from protocols.shared.connection import client_address
from protocols.shared.disconnect import cancel_on_disconnect
from speech.audio.decoding import RECORDING_POOL, run_in_pool
from speech.audio.pcm import REFERENCE_RATE, decode_recording
from speech.errors import ServerStopping
from speech.recognizer import RecognizedWord
from speech.service import SpeechService
from speech.session.recognition import RecognitionSession
from speech.types import Samples

RECOGNITION_RATE = 16_000
"""Hertz that recordings are decoded to: the rate of every recogniser there is."""

MAX_RECORDING_S = 600.0
"""Longest recording that is recognized."""


def recording_routes(service: SpeechService, max_body: int, metrics: KyutaiMetrics) -> list[BaseRoute]:
    """Return ``POST /api/asr-streaming`` and ``POST /api/voice``; max_body: bytes of a recording."""

    async def recognize(request: Request) -> Response:
        language, body = read_language(request.query_params), await request.body()
        opened = service.open_recognition(
            protocol=PROTOCOL, client=client_address(request), sample_rate=RECOGNITION_RATE, language=language
        )
        async with opened as session:
            recording = await run_in_pool(
                RECORDING_POOL,
                decode_recording,
                body,
                max_body,
                MAX_RECORDING_S,
                sample_rate=RECOGNITION_RATE,
            )
            words = await cancel_on_disconnect(
                request, _recognize(session, recording.samples), name=TASK_NAME
            )
            return JSONResponse(words)

    async def make_voice(request: Request) -> Response:
        began = time.perf_counter()
        body = await request.body()
        recording = await run_in_pool(
            RECORDING_POOL,
            decode_recording,
            body,
            max_body,
            voice_payload.MAX_RECORDING_S,
            truncate=True,
            sample_rate=REFERENCE_RATE,
        )
        embeddings = await cancel_on_disconnect(
            request, service.cloning.embed_with_all_engines(recording), name=TASK_NAME
        )
        metrics.voice_embedded(time.perf_counter() - began)
        voice = messages.voice(voice_payload.pack(embeddings))
        return Response(voice, media_type="application/octet-stream")

    return [
        Route("/api/asr-streaming", endpoint(recognize), methods=["POST"]),
        Route("/api/voice", endpoint(make_voice), methods=["POST"]),
    ]


async def _recognize(session: RecognitionSession, samples: Samples) -> list[dict[str, Any]]:
    """Return every word as the messages ``Word`` and ``EndWord``. Raises ServerStopping."""
    words: list[dict[str, Any]] = []

    async def feed() -> None:
        for at in range(0, len(samples), RECOGNITION_RATE):
            await session.feed(samples[at : at + RECOGNITION_RATE])
        if session.finished:
            raise ServerStopping
        session.finish()

    feeding = asyncio.create_task(feed(), name="kyutai recording")
    try:
        async with aclosing(session.events()) as events:
            async for event in events:
                if isinstance(event, RecognizedWord):
                    words.append({"type": "Word", "text": event.text, "start_time": event.start_s})
                    words.append({"type": "EndWord", "stop_time": event.end_s})
        await feeding
    finally:
        feeding.cancel()
        await asyncio.wait([feeding])
    return words
