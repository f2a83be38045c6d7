"""Speech for those who have all of the text: a WAV file, sent as it is made, or with its words' times."""

from __future__ import annotations

import asyncio
import base64
import struct
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import asdict, replace
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from protocols.kyutai.connection import client_address
from protocols.kyutai.http_answers import TASK_NAME, endpoint
from protocols.kyutai.messages import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE, BadMessage, validation_error
from protocols.kyutai.output import Frames
from protocols.kyutai.query import CFG_ALPHA_RANGE, MAX_SEQ_LEN_RANGE, build_request
from protocols.kyutai.speech_out import PROTOCOL
from protocols.kyutai.text_input import TextFeeder
from protocols.shared.client_languages import accept_languages
from protocols.shared.disconnect import cancel_on_disconnect
from speech.audio.pcm import pcm16, wav
from speech.errors import InvalidRequest, SpeechError
from speech.service import SpeechService
from speech.session.session import SpeechSession
from speech.types import Sampling, SpeechRequest

T = TypeVar("T")

MAX_WHOLE_ANSWER_S = 1200.0
"""The longest speech that is answered whole, with its words' times; a WAV that streams has no such end."""

_UNKNOWN_SIZE = 0xFFFFFFFF

SPEECH_PATHS = ("/api/tts_streaming", "/api/tts-streaming")
"""Paths of speech out; a plugin for LiveKit asks for the second."""


class StreamedBody(msgspec.Struct):
    """``POST /api/tts_streaming``: both are needed; an empty voice is the default one."""

    text: str
    voice: str


class LegacyBody(msgspec.Struct):
    """``POST /api/tts``."""

    text: list[str]
    seed: int
    temperature: float
    top_k: int
    voice: str | None = None
    voices: list[str] | None = None
    max_seq_len: int | None = None
    return_timestamps: bool | None = None
    cfg_alpha: float | None = None


def speech_routes(service: SpeechService) -> list[BaseRoute]:
    """``POST`` on ``SPEECH_PATHS`` and moshi-server's older ``POST /api/tts``."""

    async def streamed(request: Request) -> Response:
        body = _read(await request.body(), StreamedBody)
        wanted = build_request(body.voice, Sampling(), None, service)
        return await _streamed(request, service, wanted, body.text, None)

    async def legacy(request: Request) -> Response:
        body = _read(await request.body(), LegacyBody)
        for field, allowed, value in (
            ("cfg_alpha", CFG_ALPHA_RANGE, body.cfg_alpha),
            ("max_seq_len", MAX_SEQ_LEN_RANGE, body.max_seq_len),
        ):
            if value is not None:
                allowed.check(field, value)
        sampling = Sampling(temperature=body.temperature, top_k=body.top_k, seed=body.seed)
        voice = body.voice or next(iter(body.voices or []), None)
        wanted = build_request(voice, sampling, body.cfg_alpha, service)
        text = " ".join(body.text)
        if not body.return_timestamps:
            return await _streamed(request, service, wanted, text, body.max_seq_len)
        async with _open(service, wanted, request, at_once=False) as session:
            feeder = TextFeeder(session, service.limits.max_text)
            feeder.feed(text)
            session.finish()
            return JSONResponse(
                await cancel_on_disconnect(request, _whole(session, feeder, body.max_seq_len), name=TASK_NAME)
            )

    return [
        *(Route(path, endpoint(streamed, "voice"), methods=["POST"]) for path in SPEECH_PATHS),
        Route("/api/tts", endpoint(legacy, "voice"), methods=["POST"]),
    ]


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise validation_error(error, "body") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage("body: is not JSON") from error


def _open(service: SpeechService, wanted: SpeechRequest, request: Request, *, at_once: bool) -> SpeechSession:
    wanted = replace(wanted, languages=accept_languages(request.headers))
    return service.open(wanted, protocol=PROTOCOL, client=client_address(request), low_latency=at_once)


async def _streamed(
    request: Request, service: SpeechService, wanted: SpeechRequest, text: str, most_frames: int | None
) -> Response:
    """The WAV of ``text``; it starts with the first audio, so that what goes wrong before has a status."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(_open(service, wanted, request, at_once=True))
        TextFeeder(session, service.limits.max_text).feed(text)
        session.finish()
        pieces = _wav(session, most_frames)
        first = await cancel_on_disconnect(request, anext(pieces), name=TASK_NAME)
        return _Stream(_behind(first, pieces), stack.pop_all())


async def _wav(session: SpeechSession, most_frames: int | None) -> AsyncGenerator[bytes, None]:
    """A WAV file piece by piece, whose length nobody knows at its beginning."""
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _UNKNOWN_SIZE, b"WAVE"),
        *(b"fmt ", 16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * 2, 2, 16),
        *(b"data", _UNKNOWN_SIZE),
    )
    frames, left = Frames(), most_frames
    async for chunk in session:
        ready = frames.feed(chunk)[:left]
        left = None if left is None else left - len(ready)
        if ready:
            yield header + pcm16(np.concatenate(ready))
            header = b""
        if left == 0:
            return
    yield header + b"".join(pcm16(frame) for frame in frames.finish()[:left])


async def _behind(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    try:
        async with aclosing(rest) as pieces:
            async for piece in pieces:
                yield piece
    except SpeechError:
        # Its status is sent, and the session has logged what broke: the audio ends here.
        return


class _Stream(StreamingResponse):
    """A streamed WAV that frees its session when it ends, also when its client has gone."""

    def __init__(self, content: AsyncGenerator[bytes, None], session: AsyncExitStack) -> None:
        super().__init__(content, media_type="audio/wav")
        self._session = session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._session:
            await super().__call__(scope, receive, send)


async def _whole(session: SpeechSession, feeder: TextFeeder, most_frames: int | None) -> dict[str, Any]:
    """``{"wav": base64, "transcript": [{"text", "start_s", "stop_s"}, …]}``."""
    frames = Frames()
    pcm, told = bytearray(), []
    longest = round(MAX_WHOLE_ANSWER_S / FRAME_S) if most_frames is None else most_frames
    async for chunk in session:
        told += feeder.aligner.align(chunk.spans)
        pcm += b"".join(pcm16(frame) for frame in frames.feed(chunk))
        if len(pcm) > longest * FRAME_SAMPLES * 2:
            if most_frames is not None:
                break
            raise InvalidRequest(
                "text", f"its speech is too long for one answer (at most {MAX_WHOLE_ANSWER_S:g} s)"
            )
    else:
        pcm += b"".join(pcm16(frame) for frame in frames.finish())
    data = await asyncio.to_thread(
        lambda: base64.b64encode(wav(bytes(pcm[: longest * FRAME_SAMPLES * 2]), SAMPLE_RATE))
    )
    return {"wav": data.decode(), "transcript": [asdict(word) for word in told]}
