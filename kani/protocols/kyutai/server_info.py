"""Information about the server: ``/api/build_info``, clients' health check, and ``/api/modules_info``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core.service import SpeechService
from kani.protocols.kyutai.metrics import KyutaiMetrics

BUILD_FIELDS = (
    "build_timestamp build_date git_branch git_timestamp git_date git_hash git_describe rustc_host_triple "
    "rustc_version cargo_target_triple".split()
)
"""Fields of moshi-server's build info, all of them strings."""


def info_routes(service: SpeechService, version: str, metrics: KyutaiMetrics) -> list[BaseRoute]:
    """Return the routes; version: of this server, in the field for moshi-server's commit."""

    async def build(request: Request) -> Response:
        fields = dict.fromkeys(BUILD_FIELDS, "")
        return JSONResponse(fields | {"git_describe": f"kani-tts {version}"})

    async def modules(request: Request) -> Response:
        total = str(service.limits.max_connections)
        speech = {
            "type": "py",
            "path": "/api/tts_streaming",
            "script": "tts.py",
            "used_slots": str(metrics.speaking),
            "total_slots": total,
        }
        recognition = {
            "type": "batched_asr",
            "path": "/api/asr-streaming",
            "lm": service.recognition.recognizer.info.name if service.recognition.recognizer else "",
            "audio_tokenizer": "",
            "used_slots": str(metrics.listening),
            "total_slots": total,
        }
        return JSONResponse([speech, recognition] if service.recognition.hears_live else [speech])

    return [
        Route("/api/build_info", build, methods=["GET"]),
        Route("/api/modules_info", modules, methods=["GET"]),
    ]
