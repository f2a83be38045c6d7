"""The ASGI application, and its life: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import ClassVar, NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from access import AccessMiddleware, AccessRules, Paths, is_loopback
from connections import Connections, ConnectionsMiddleware, Phase
from dialects import kani, kyutai, operations, voices
from engines.registry import engines_for
from kyutai_metrics import KyutaiMetrics
from listening import allow_open_files, listen, own_names
from metrics import Metrics
from recognizers.registry import recognizer_for
from settings import Settings, variables
from speech.request import Limits
from speech.service import SpeechService
from speech.voices import VoiceStore
from websocket_config import VERSION
from websocket_protocol import WebSocketProtocol

log = logging.getLogger("server")

HEALTH = "/health"
GOODBYE_SECONDS = 2.0
SPARE_FILES = 256


class CompatPort(NamedTuple):
    """A port that a protocol's clients look for; setting: its setting's name; scheme: "ws" or "http"."""

    setting: str
    scheme: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wire protocol, and what of the server is not as for the others.

    routes: makes its routes; paths: who may come in there; ports: opened by KANI_COMPAT;
    largest_messages: bytes, by the WebSocket's path, where KANI_MAX_MESSAGE_BYTES does not count.
    """

    routes: Callable[[Settings, SpeechService, Metrics], list[BaseRoute]]
    paths: Paths = field(default_factory=Paths)
    ports: tuple[CompatPort, ...] = ()
    largest_messages: Mapping[str, int] = field(default_factory=dict)


def _kyutai(settings: Settings, service: SpeechService, metrics: Metrics) -> list[BaseRoute]:
    chosen = kyutai.KyutaiSettings(settings.idle_seconds, VERSION, settings.max_message_bytes)
    return kyutai.routes(service, chosen, KyutaiMetrics(metrics.registry))


DIALECTS = (
    Dialect(lambda settings, service, metrics: kani.routes(service)),
    Dialect(lambda settings, service, metrics: voices.routes(service)),
    Dialect(
        _kyutai,
        Paths(
            open=frozenset({"/api/build_info", "/api/modules_info"}),
            keyed=frozenset({"/api/tts_streaming", "/api/tts", "/api/asr-streaming"}),
            keyless=frozenset({"/api/voice"}),
        ),
        (
            CompatPort("kyutai_port", "ws", "Kyutai"),
            CompatPort("kyutai_voice_port", "http", "Kyutai voice cloning"),
        ),
        {"/api/tts_streaming": 64 << 20, "/api/asr-streaming": 64 << 20},
    ),
)
PATHS = Paths(
    open=frozenset({HEALTH}).union(*(dialect.paths.open for dialect in DIALECTS)),
    keyed=frozenset().union(*(dialect.paths.keyed for dialect in DIALECTS)),
    keyless=frozenset().union(*(dialect.paths.keyless for dialect in DIALECTS)),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready: where it listens, which port is whose besides, and who speaks."""

    host: str
    port: int
    service: SpeechService
    compat: Mapping[CompatPort, int] = field(default_factory=dict)


def access_rules(settings: Settings) -> AccessRules:
    """Who may come in, by the settings."""
    return AccessRules(
        loopback=is_loopback(settings.host),
        keys=tuple(key.get_secret_value() for key in settings.api_keys),
        no_auth=settings.no_auth,
        allowed_origins=frozenset(settings.allowed_origins),
        allowed_hosts=frozenset(host.lower() for host in settings.allowed_hosts),
        own_names=own_names(settings.host),
        paths=PATHS,
    )


def build_service(settings: Settings, metrics: Metrics) -> SpeechService:
    """The speech service of the settings, not started. Raises EngineUnavailable."""
    limits = Limits(
        max_text=settings.max_text,
        max_sessions=settings.max_connections,
        max_waiting=settings.max_waiting,
        ahead_s=settings.ahead_seconds,
        rate_per_minute=settings.rate_per_minute,
    )
    engines = engines_for(settings.engine, settings)
    return SpeechService(
        engines.needed,
        VoiceStore(settings.data_dir),
        limits,
        default_language=settings.language,
        default_voice=settings.voice,
        observer=metrics,
        preferred=engines.preferred,
        recognizer=recognizer_for(settings.recognizer, settings),
    )


def create_app(
    settings: Settings, service: SpeechService, metrics: Metrics, connections: Connections
) -> Starlette:
    """The application: every dialect's routes behind the checks of who may come in."""
    rules = access_rules(settings)
    routes = [route for dialect in DIALECTS for route in dialect.routes(settings, service, metrics)]
    routes += operations.routes(service, VERSION, lambda: connections.phase.value, metrics)
    return Starlette(
        routes=[*routes, WebSocketRoute("/{path:path}", _no_protocol_here)],
        middleware=[
            Middleware(_Cors, rules=rules),
            Middleware(AccessMiddleware, rules=rules),
            Middleware(
                ConnectionsMiddleware,
                connections=connections,
                always=frozenset({HEALTH, "/metrics"}),
                max_body=settings.max_message_bytes,
            ),
        ],
        exception_handlers={HTTPException: _http_error, ClientDisconnect: _gone, Exception: _failed},
    )


async def serve(settings: Settings, announce: Callable[[Running], None]) -> None:
    """Serve until SIGTERM or Ctrl+C, then let speech under way finish, and return.

    ``announce`` is called once, when the server is ready. Ctrl+C once more ends the process at
    once, with exit code 130. Raises CannotListen, EngineUnavailable, and InvalidRequest for a
    default voice or language that no engine speaks.
    """
    sockets = listen(settings.host, settings.port)
    port = _port(sockets)
    compat: dict[CompatPort, int] = {}
    for door in (door for dialect in DIALECTS for door in dialect.ports if settings.compat):
        opened = listen(settings.host, getattr(settings, door.setting), variables(door.setting)[0])
        compat[door] = _port(opened)
        sockets += opened
    if allow_open_files(settings.max_connections + SPARE_FILES) < settings.max_connections + SPARE_FILES:
        log.warning("this machine allows fewer open sockets than KANI_MAX_CONNECTIONS (see ulimit -n)")
    if settings.api_keys and is_loopback(settings.host) and not settings.no_auth:
        log.warning(
            "keys are set, but on a loopback address clients of this machine need none; a proxy in front "
            "must send X-Forwarded-For, so that its clients do"
        )
    metrics = Metrics(VERSION)
    connections = Connections(settings.max_connections, metrics.connections)
    service = build_service(settings, metrics)
    app = create_app(settings, service, metrics, connections)
    with _signals() as stop:
        async with _accepting(app, settings, sockets, stop):
            try:
                if not await _unless(stop, service.start()):
                    # A thread may still be fetching a model: there is nothing here to wait for.
                    logging.shutdown()
                    os._exit(0)
                service.catalogue.resolve(None, settings.language)
                connections.phase = Phase.READY
                log.info("ready on %s port %d: %s", settings.host, port, _names(service))
                announce(Running(settings.host, port, service, compat))
                await stop.wait()
                log.info("stopping: speech under way has %g s to finish", settings.shutdown_seconds)
                connections.phase = Phase.DRAINING
                await service.drain(settings.shutdown_seconds)
                await connections.close_all(GOODBYE_SECONDS)
            finally:
                await service.stop()
    log.info("stopped")


def _port(sockets: list[socket.socket]) -> int:
    port: int = sockets[0].getsockname()[1]
    return port


def _names(service: SpeechService) -> str:
    return ", ".join(f"{engine.name} {engine.version}" for engine in service.engines)


class _Cors(CORSMiddleware):
    """Tells browsers which pages may read our answers: those that may come in."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        super().__init__(app, allow_methods=("GET", "POST", "DELETE"), allow_headers=("*",), max_age=600)
        self._rules = rules

    def is_allowed_origin(self, origin: str) -> bool:
        return self._rules.origin_allowed(origin)


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which would end the process by the signal itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _WebSocket(WebSocketProtocol):
    largest_messages: ClassVar[Mapping[str, int]] = {
        path: size for dialect in DIALECTS for path, size in dialect.largest_messages.items()
    }


@asynccontextmanager
async def _accepting(
    app: ASGIApp, settings: Settings, sockets: list[socket.socket], stop: asyncio.Event
) -> AsyncIterator[None]:
    """Accept connections while the body runs."""
    server = _Server(
        uvicorn.Config(
            app,
            # The parser that bounds a request's head (64 KiB); httptools' reads on for ever.
            http="h11",
            ws=_WebSocket,
            ws_max_size=settings.max_message_bytes,
            ws_ping_interval=settings.ping_interval,
            ws_ping_timeout=settings.ping_timeout,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    serving = asyncio.create_task(server.serve(sockets))
    serving.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that SIGTERM and Ctrl+C set; Ctrl+C ends the process if either came before."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if seen and number == signal.SIGINT:
            os._exit(130)
        seen.append(number)
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do ``work``; False, and ``work`` cancelled, if ``stop`` came first."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
        return working.done()
    finally:
        stopping.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": {"message": error.detail}}, error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read it."""
    return Response(status_code=400)


async def _failed(request: Request, error: Exception) -> Response:
    """What nobody foresaw; its traceback is uvicorn's to log."""
    return JSONResponse({"error": {"message": "internal error"}}, 500)


async def _no_protocol_here(websocket: WebSocket) -> None:
    answer = JSONResponse({"error": {"message": f"nothing speaks on {websocket.url.path}; try /"}}, 404)
    await websocket.send_denial_response(answer)
