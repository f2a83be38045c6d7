"""HTTP endpoints of VoxCPM's page: where to connect, the list of voices, and their samples."""

import asyncio
from collections import Counter
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from kani.core import errors
from kani.core.audio import synthetic_mark
from kani.core.audio.pcm import wav
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.types import OPTION_RANGES, SpeechRequest, Voice
from kani.protocols.shared.connection import client_address, own_url
from kani.protocols.shared.errors import BadMessage, Handler, answering, json_response
from kani.protocols.shared.ranges import bytes_answer, file_answer
from kani.protocols.shared.tasks import cancel_on_disconnect
from kani.protocols.voxcpm.params import Options
from kani.protocols.voxcpm.request import PROTOCOL
from kani.protocols.voxcpm.voice_folder import FolderVoice, VoiceFolder
from kani.protocols.voxcpm.voice_list import ListedVoice, list_voices

MAX_QUERY_LENGTH = 200
"""Characters of a category or of a search."""

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
_STATUSES = (
    (errors.UnknownVoice, 404),
    (errors.InvalidRequest | BadMessage, 400),
    (errors.RateLimited, 429),
    (errors.Busy | errors.EngineUnavailable | errors.SpeechCancelled, 503),
    (errors.TimedOut, 504),
)
"""Statuses of errors, else 500; the first row that fits counts."""

_NO_CACHE = {"cache-control": "no-cache"}
_CACHED = {"cache-control": "private, max-age=3600", "x-content-type-options": "nosniff"}


def http_routes(
    service: SpeechService, max_text: int, folder: VoiceFolder, ports: Collection[int] = ()
) -> list[BaseRoute]:
    """Return the routes. Errors are ``{"error": …}`` with 400, 404, 429, 500, 503 or 504.

    max_text: characters of one request; ports: those of the VoxCPM server and its page.
    """

    def voices() -> dict[str, ListedVoice]:
        return list_voices(service.catalogue, folder)

    async def config(request: Request) -> Response:
        return _json(_config(request, max_text, ports))

    async def listed(request: Request) -> Response:
        category, search = (_query(request, name) for name in ("category", "search"))
        return await asyncio.to_thread(lambda: _json(_listed(voices(), category, search)))

    async def categories(request: Request) -> Response:
        counts = _counts(await asyncio.to_thread(voices))
        return _json({"categories": [{"name": name, "count": counts[name]} for name in counts]})

    async def stats(request: Request) -> Response:
        counts = _counts(await asyncio.to_thread(voices))
        fields = {"total_voices": counts.total(), "total_categories": len(counts), "initialized": True}
        # One name is that of the original's documentation, the other that of its code.
        return _json(fields | dict.fromkeys(("voices_per_category", "voices_by_category"), counts))

    async def audio(request: Request) -> Response:
        voice = (await asyncio.to_thread(voices)).get(request.path_params["voice_id"])
        if voice is None:
            return _error(404, "Voice not found")
        if isinstance(voice.source, FolderVoice):
            file = await asyncio.to_thread(folder.open, voice.source)
            stack = AsyncExitStack()
            stack.enter_context(file)
            media_type = voice.source.media_type
            return file_answer(request, file, _CACHED, media_type, stack)
        speaking = _speak(service, voice.source, voice.sample_text, client_address(request))
        wav_file = await cancel_on_disconnect(request, speaking)
        return bytes_answer(request, wav_file, _CACHED | synthetic_mark.headers(), "audio/wav")

    calls: dict[str, Handler] = {
        "/api/config": config,
        "/api/voices": listed,
        "/api/voices/categories": categories,
        "/api/voices/stats": stats,
        "/api/voices/{voice_id}/audio": audio,
    }
    return [
        Route(path, answering(handler, _refuse, BadMessage, errors.SpeechError), methods=["GET"])
        for path, handler in calls.items()
    ]


def _refuse(error: BadMessage | errors.SpeechError) -> Response:
    status = next((status for kinds, status in _STATUSES if isinstance(error, kinds)), 500)
    return _error(status, str(error))


def _config(request: Request, max_text: int, ports: Collection[int]) -> dict[str, Any]:
    """Return the config, under the names of the original's documentation and of its code.

    The address is that of the request: every port of this server has ``/tts``. ``voxcpm_port`` is true on
    ``ports``: there the page shows the parameters of VoxCPM's model.
    """
    server = request.scope.get("server")
    url = f"ws{own_url(request).removeprefix('http')}/tts"
    return {
        "wsUrl": url,
        "defaultParams": DEFAULT_PARAMS,
        "websocket_url": url,
        "default_params": DEFAULT_PARAMS,
        "voxcpm_port": server is not None and server[1] in ports,
        "constraints": {
            "max_text_length": max_text,
            **{
                f"{name}_range": [allowed.low, allowed.high]
                for name, allowed in OPTION_RANGES.items()
                if name in Options.__struct_fields__
            },
        },
    }


def _listed(voices: dict[str, ListedVoice], category: str, search: str) -> dict[str, Any]:
    """Return the voices by category, or for a search as one list. ``total`` counts all voices."""
    matching = [
        voice
        for voice in voices.values()
        if category in ("", voice.category) and voice.matches(search.casefold())
    ]
    if search:
        return {"voices": [voice.row() for voice in matching], "total": len(voices)}
    by_category: dict[str, list[dict[str, Any]]] = {}
    for voice in matching:
        by_category.setdefault(voice.category, []).append(voice.row())
    return {"voices": by_category, "total": len(voices)}


def _counts(voices: dict[str, ListedVoice]) -> Counter[str]:
    return Counter(voice.category for voice in voices.values())


def _query(request: Request, name: str) -> str:
    value = request.query_params.get(name, "").strip()
    if len(value) > MAX_QUERY_LENGTH:
        raise BadMessage(f"{name}: too long (at most {MAX_QUERY_LENGTH} characters)")
    return value


async def _speak(service: SpeechService, voice: Voice, text: str, client: str) -> bytes:
    """Return ``text`` spoken by ``voice``, a WAV file. Raises SpeechError."""
    request = SpeechRequest(voice=voice.id, language=voice.language or None, timed=False)
    session = service.open(request, protocol=PROTOCOL, client=client, terms=Terms(low_latency=False))
    async with session:
        session.feed(text)
        session.finish()
        samples = np.concatenate([chunk.samples async for chunk in session])
        return wav(samples, session.resolved_voice.engine.info.sample_rate)


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json", headers=_NO_CACHE)


def _error(status: int, reason: str) -> Response:
    return json_response({"error": reason}, status)
