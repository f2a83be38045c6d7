"""GET /health and GET /metrics, for those who run the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from speech.service import SpeechService

SERVICE = "kani-tts"


def routes(
    service: SpeechService, version: str, phase: Callable[[], str], metrics: Callable[[], tuple[bytes, str]]
) -> list[BaseRoute]:
    """The routes.

    version: of this server; phase: "starting", "ready" or "draining"; metrics: a text in
    Prometheus' format, and its content type.
    """
    started = time.monotonic()

    async def health(request: Request) -> Response:
        facts = report(service, version, phase(), time.monotonic() - started)
        return JSONResponse(facts, 200 if facts["ready"] else 503, {"cache-control": "no-store"})

    async def scrape(request: Request) -> Response:
        text, content_type = metrics()
        return Response(text, media_type=content_type)

    return [Route("/health", health), Route("/metrics", scrape)]


def report(service: SpeechService, version: str, phase: str, uptime_s: float) -> dict[str, Any]:
    """What /health says: every field that a client of one of the original servers reads, and ours.

    ``status`` is "healthy" exactly where the server is ready, as their clients expect it.
    """
    ready = phase == "ready" and service.ready
    state = service.state()
    return {
        "status": "healthy" if ready else phase,
        "ready": ready,
        "tts_initialized": ready,
        "active_sessions": state.sessions,
        "service": SERVICE,
        "version": version,
        "engines": [{"name": engine.name, "version": engine.version} for engine in service.engines],
        "languages": dict(sorted(service.catalogue.languages.items())) if ready else {},
        "counters": {
            "sessions": state.sessions,
            "speaking": state.speaking,
            "waiting": state.waiting,
            **state.counters,
        },
        "uptime": round(uptime_s, 3),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
