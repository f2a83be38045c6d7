"""GET /health, GET /livez and GET /metrics, for operators and their monitoring."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from kani.core import shared_numbers
from kani.core.service import SpeechService
from kani.server.metrics import Metrics
from kani_text.foreign import parse_json
from kani_text.foreign.files import read_regular
from kani_text.languages import primary

T = TypeVar("T")

SERVICE = "kani-tts"
HEALTH_PATH = "/health"
LIVE_PATH = "/livez"
METRICS_PATH = "/metrics"
ALWAYS_SERVED = frozenset({HEALTH_PATH, LIVE_PATH, METRICS_PATH})
"""Paths that are answered while the server starts and stops, too."""


MAX_BYTES, MAX_S = 64 << 10, 24 * 3600.0
"""Longest file of such times, and longest time."""


class StartTime:
    """The time that a start takes, as the last one with the same engine did; kept in the cache folder."""

    def __init__(self, cache_dir: Path, engine: str) -> None:
        """Begin now. engine: the setting's value."""
        self._path, self._engine = cache_dir / "start-seconds.json", engine
        self._began = time.monotonic()
        self._known = self._read()

    def left_s(self) -> float | None:
        """Return the seconds that are left; None where it is not known, or takes longer this time."""
        last = self._known.get(self._engine)
        left = min(last, MAX_S) - (time.monotonic() - self._began) if isinstance(last, int | float) else 0.0
        return round(left, 1) if left > 0 else None

    def kept_before(self, announce: Callable[[T], None]) -> Callable[[T], None]:
        """Return ``announce``, to be called in the event loop at the end of the start, which is kept then."""

        def end(server: T) -> None:
            asyncio.get_running_loop().run_in_executor(None, self.keep)
            announce(server)

        return end

    def keep(self) -> None:
        """Write the time since the beginning; blocks. A folder that cannot be written is left as it is."""
        took = {self._engine: round(time.monotonic() - self._began, 1)}
        partial = self._path.with_suffix(".partial")
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._read() | took), encoding="utf-8")
            partial.replace(self._path)

    def _read(self) -> dict[str, Any]:
        try:
            known = parse_json(read_regular(self._path, MAX_BYTES))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def routes(
    service: SpeechService,
    version: str,
    phase: Callable[[], str],
    metrics: Metrics,
    protocol_fields: Sequence[Callable[[], Mapping[str, Any]]] = (),
    start: StartTime | None = None,
) -> list[BaseRoute]:
    """Return the routes.

    version: of this server; phase: returns "starting", "ready" or "draining"; protocol_fields: return the
    fields that protocols add to the answer of /health; start: knows how long the start takes.
    """
    shared = shared_numbers.shared
    started = time.monotonic() if shared is None else shared.since

    async def health(request: Request) -> Response:
        fields = health_fields(service, version, phase(), metrics.totals(), time.monotonic() - started)
        fields["ready_in"] = start.left_s() if start is not None and phase() == "starting" else None
        for added in protocol_fields:
            fields |= added()
        return JSONResponse(fields, 200 if fields["ready"] else 503, {"cache-control": "no-store"})

    async def live(request: Request) -> Response:
        return PlainTextResponse("ok", headers={"cache-control": "no-store"})

    async def scrape(request: Request) -> Response:
        return Response(await asyncio.to_thread(metrics.text), media_type=metrics.content_type)

    return [Route(HEALTH_PATH, health), Route(LIVE_PATH, live), Route(METRICS_PATH, scrape)]


def health_fields(
    service: SpeechService, version: str, phase: str, totals: dict[str, int], uptime_s: float
) -> dict[str, Any]:
    """Return the answer of /health: the fields that clients of the original servers read, and ours.

    ``status`` is "healthy" exactly when the server is ready, as those clients expect.
    """
    ready = phase == "ready" and service.ready
    started = phase != "starting"
    state = service.state()
    engines = service.engines if started else ()
    unloaded = service.unloaded
    return {
        "status": "healthy" if ready else phase,
        "ready": ready,
        "tts_initialized": ready,
        "active_sessions": state.sessions,
        "service": SERVICE,
        "version": version,
        "engines": [
            {
                "name": engine.name,
                "version": engine.version,
                "cloning": engine.cloning.kind,
                "loaded": engine.name not in unloaded,
            }
            for engine in engines
        ],
        "joining": {"name": service.late_engine.name, "state": service.late_engine.state}
        if service.late_engine
        else None,
        "light": [
            {"voice": voice, "language": language, "speaks": engine.light.when}
            for engine in engines
            if engine.light is not None
            for voice, language in engine.light.languages.items()
        ],
        "recognizer": _recognizer(service),
        "conversations": service.chat_model is not None and service.recognition.hears_live,
        "chat_model": "" if service.chat_model is None else service.chat_model.name,
        "languages": dict(sorted(service.catalogue.languages.items())) if started else {},
        "accented": sorted(service.catalogue.accented) if started else [],
        "default_voices": _default_voices(service) if started else {},
        "counters": {
            "sessions": state.sessions,
            "speaking": state.slots_in_use,
            "waiting": state.waiting,
            **totals,
        },
        "uptime": round(uptime_s, 3),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }


def _default_voices(service: SpeechService) -> dict[str, str]:
    """Return the id of the voice that speaks a language by itself, where the list does not show it."""
    infos = {engine.name: engine for engine in service.engines}
    chosen = {}
    for language, name in sorted(service.catalogue.languages.items()):
        voices = infos[name].voices_for(language) if name in infos else []
        if len(voices) > 1 or (voices and primary(voices[0].language) != language):
            chosen[language] = voices[0].id
    return chosen


def _recognizer(service: SpeechService) -> dict[str, Any] | None:
    recognizer = service.recognition.recognizer
    if recognizer is None:
        return None
    info = recognizer.info
    return {
        "name": info.name,
        "version": info.version,
        "loaded": service.recognition.loaded,
        "live": service.recognition.hears_live,
        "live_delay": round(info.live_delay_s, 2) if info.live_delay_s is not None else None,
    }
