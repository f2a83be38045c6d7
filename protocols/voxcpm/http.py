"""What VoxCPM's page asks for by HTTP: where to connect, and which voices there are."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, BinaryIO

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from protocols.shared.disconnect import cancel_on_disconnect
from protocols.voxcpm.params import RANGES
from protocols.voxcpm.request import PROTOCOL
from protocols.voxcpm.settings import VoxCPMSettings
from protocols.voxcpm.voice_folder import FolderVoice, VoiceFolder
from protocols.voxcpm.voice_list import ListedVoice, list_voices
from speech.audio.pcm import wav
from speech.errors import (
    Busy,
    EngineUnavailable,
    InvalidRequest,
    RateLimited,
    SpeechCancelled,
    SpeechError,
    TimedOut,
    UnknownVoice,
)
from speech.service import SpeechService
from speech.types import SpeechRequest, Voice

MAX_QUERY_LENGTH = 200
"""Characters of a category or of what is searched for."""

DEFAULT_PARAMS = {
    "mode": "streaming",
    "cfg_value": 2.0,
    "inference_timesteps": 10,
    "normalize": True,
    "denoise": False,
    "retry_badcase": True,
    "retry_badcase_max_times": 3,
    "retry_badcase_ratio_threshold": 6.0,
}
_PIECE = 256 * 1024
_FRESH = {"cache-control": "no-cache"}
_KEPT = {"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"}

Answer = Callable[[Request], Awaitable[Response]]


class BadQuery(Exception):
    """A query that cannot be answered; the sentence is the client's."""


def http_routes(service: SpeechService, settings: VoxCPMSettings, folder: VoiceFolder) -> list[BaseRoute]:
    """The routes. Errors are ``{"error": …}`` with 400, 404, 429, 500, 503 or 504."""

    def voices() -> dict[str, ListedVoice]:
        return list_voices(service.catalogue, folder)

    async def config(request: Request) -> Response:
        return _json(_config(request, settings.max_text))

    async def listed(request: Request) -> Response:
        category, search = (_query(request, name) for name in ("category", "search"))
        return await asyncio.to_thread(lambda: _json(_listed(voices(), category, search)))

    async def categories(request: Request) -> Response:
        counts = _counts(await asyncio.to_thread(voices))
        return _json({"categories": [{"name": name, "count": counts[name]} for name in counts]})

    async def stats(request: Request) -> Response:
        counts = _counts(await asyncio.to_thread(voices))
        facts = {"total_voices": counts.total(), "total_categories": len(counts), "initialized": True}
        # The original's documentation and its code have a name each.
        return _json(facts | dict.fromkeys(("voices_per_category", "voices_by_category"), counts))

    async def audio(request: Request) -> Response:
        voice = (await asyncio.to_thread(voices)).get(request.path_params["voice_id"])
        if voice is None:
            return _error(404, "Voice not found")
        if isinstance(voice.source, FolderVoice):
            file = await asyncio.to_thread(folder.open, voice.source)
            return _File(file, voice.source.media_type)
        said = await cancel_on_disconnect(
            request, _say(service, voice.source, voice.sample_text, _host(request)), name="voice sample"
        )
        return Response(said, media_type="audio/wav", headers=_KEPT)

    return [
        Route("/api/config", _endpoint(config), methods=["GET"]),
        Route("/api/voices", _endpoint(listed), methods=["GET"]),
        Route("/api/voices/categories", _endpoint(categories), methods=["GET"]),
        Route("/api/voices/stats", _endpoint(stats), methods=["GET"]),
        Route("/api/voices/{voice_id}/audio", _endpoint(audio), methods=["GET"]),
    ]


def _endpoint(answer: Answer) -> Answer:
    """``answer``, whose errors become a status and a sentence."""

    async def handle(request: Request) -> Response:
        try:
            return await answer(request)
        except BadQuery as error:
            return _error(400, str(error))
        except SpeechError as error:
            return _error(_status(error), str(error))

    return handle


def _status(error: SpeechError) -> int:
    match error:
        case UnknownVoice():
            return 404
        case InvalidRequest():
            return 400
        case RateLimited():
            return 429
        case Busy() | EngineUnavailable() | SpeechCancelled():
            return 503
        case TimedOut():
            return 504
    return 500


def _config(request: Request, max_text: int) -> dict[str, Any]:
    """Both the keys that the original's documentation has and those of its code.

    The address is the one that the request came to: every port of this server speaks on ``/tts``.
    """
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    scheme = "wss" if forwarded.partition(",")[0].strip().lower() in ("https", "wss") else "ws"
    url = f"{scheme}://{request.headers.get('host', 'localhost')}/tts"
    return {
        "wsUrl": url,
        "defaultParams": DEFAULT_PARAMS,
        "websocket_url": url,
        "default_params": DEFAULT_PARAMS,
        "constraints": {
            "max_text_length": max_text,
            **{f"{name}_range": list(ends) for name, ends in RANGES.items()},
        },
    }


def _listed(voices: dict[str, ListedVoice], category: str, search: str) -> dict[str, Any]:
    """By category; what is searched for comes as one list. ``total`` counts all voices there are."""
    wanted = [
        voice
        for voice in voices.values()
        if category in ("", voice.category) and voice.matches(search.casefold())
    ]
    if search:
        return {"voices": [voice.row() for voice in wanted], "total": len(voices)}
    by_category: dict[str, list[dict[str, Any]]] = {}
    for voice in wanted:
        by_category.setdefault(voice.category, []).append(voice.row())
    return {"voices": by_category, "total": len(voices)}


def _counts(voices: dict[str, ListedVoice]) -> Counter[str]:
    return Counter(voice.category for voice in voices.values())


def _query(request: Request, name: str) -> str:
    value = request.query_params.get(name, "").strip()
    if len(value) > MAX_QUERY_LENGTH:
        raise BadQuery(f"{name}: too long (at most {MAX_QUERY_LENGTH} characters)")
    return value


async def _say(service: SpeechService, voice: Voice, text: str, client: str) -> bytes:
    """``text`` by ``voice``, as a WAV file. Raises SpeechError."""
    request = SpeechRequest(voice=voice.id, language=voice.language or None)
    session = service.open(
        request, protocol=PROTOCOL, client=client, fallback_language="en", low_latency=False
    )
    async with session:
        session.feed(text)
        session.finish()
        samples = np.concatenate([chunk.samples async for chunk in session])
        return wav(samples, session.resolved_voice.engine.info.sample_rate)


class _File(StreamingResponse):
    """A file, sent as fast as it is taken, and closed whatever happens."""

    def __init__(self, file: BinaryIO, media_type: str) -> None:
        super().__init__(_pieces(file), media_type=media_type, headers=_KEPT)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE):
        yield piece


def _host(request: Request) -> str:
    return request.client.host if request.client else ""


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json", headers=_FRESH)


def _error(status: int, reason: str) -> Response:
    headers = {"retry-after": "1"} if status in (429, 503) else None
    body = msgspec.json.encode({"error": reason.encode("utf-8", "replace").decode()})
    return Response(body, status, headers, "application/json")
