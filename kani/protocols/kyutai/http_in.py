"""HTTP endpoints for whole recordings: recognition, and the making of voices."""

from __future__ import annotations

import time
from contextlib import aclosing
from io import BytesIO
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.audio.decoding import RECORDING_POOL, run_in_pool
from kani.core.audio.pcm import REFERENCE_RATE, decode_recording
from kani.core.service import SpeechService
from kani.core.session.transcription import TranscriptionSession
from kani.core.transcriber import TranscriptionOptions
from kani.protocols.kyutai import messages, voice_payload
from kani.protocols.kyutai.connection import endpoint
from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.protocols.kyutai.query import read_language, read_prompt
from kani.protocols.kyutai.speech_in import PROTOCOL
from kani.protocols.shared.connection import client_address
from kani.protocols.shared.protocol import MAX_MESSAGE_BYTES
from kani.protocols.shared.tasks import cancel_on_disconnect

MAX_RECORDING_S = 600.0
"""Longest recording that is recognized."""


def recording_routes(service: SpeechService, metrics: KyutaiMetrics) -> list[BaseRoute]:
    """Return ``POST /api/asr-streaming`` and ``POST /api/voice``."""

    async def recognize(request: Request) -> Response:
        language, prompt = (
            read_language(request.query_params, service.recognition),
            read_prompt(request.query_params),
        )
        body = await request.body()
        opened = service.recognition.open_transcription(
            protocol=PROTOCOL,
            client=client_address(request),
            options=TranscriptionOptions(language=language, prompt=prompt),
        )
        async with opened as session:
            return JSONResponse(await cancel_on_disconnect(request, _words(session, body)))

    async def make_voice(request: Request) -> Response:
        began = time.perf_counter()
        body = await request.body()
        recording = await run_in_pool(
            RECORDING_POOL,
            decode_recording,
            body,
            MAX_MESSAGE_BYTES,
            voice_payload.MAX_RECORDING_S,
            truncate=True,
            sample_rate=REFERENCE_RATE,
        )
        embedding = service.cloning.embed_with_all_engines(recording)
        embeddings = await cancel_on_disconnect(request, embedding)
        metrics.voice_embedded(time.perf_counter() - began)
        voice = messages.voice(voice_payload.pack(embeddings))
        return Response(voice, media_type="application/octet-stream")

    return [
        Route("/api/asr-streaming", endpoint(recognize), methods=["POST"]),
        Route("/api/voice", endpoint(make_voice), methods=["POST"]),
    ]


async def _words(session: TranscriptionSession, body: bytes) -> list[dict[str, Any]]:
    """Return every word of a recording as the messages ``Word`` and ``EndWord``."""
    words: list[dict[str, Any]] = []
    async with aclosing(session.segments(BytesIO(body), MAX_RECORDING_S)) as segments:
        async for segment in segments:
            for word in segment.words:
                if not any(character.isalnum() for character in word.text):
                    continue
                words.append({"type": "Word", "text": word.text, "start_time": word.start_s})
                words.append({"type": "EndWord", "stop_time": word.end_s})
    return words
