"""The ASGI application, and its life: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from types import FrameType

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
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from access import OPEN_PATHS, AccessMiddleware, AccessRules, is_loopback
from connections import Connections, ConnectionsMiddleware, Phase
from dialects import kani, operations, voices
from engines.registry import engines_for
from listening import allow_open_files, listen, own_names
from metrics import Metrics
from settings import Settings
from speech.request import Limits
from speech.service import SpeechService
from speech.voices import VoiceStore
from websocket_config import VERSION

log = logging.getLogger("server")

DIALECTS: tuple[Callable[[SpeechService], list[BaseRoute]], ...] = (kani.routes, voices.routes)
GOODBYE_SECONDS = 2.0
SPARE_FILES = 256
BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready: where it listens and who speaks."""

    host: str
    port: int
    service: SpeechService


def access_rules(settings: Settings) -> AccessRules:
    """Who may come in, by the settings."""
    return AccessRules(
        loopback=is_loopback(settings.host),
        keys=tuple(key.get_secret_value() for key in settings.api_keys),
        no_auth=settings.no_auth,
        allowed_origins=frozenset(settings.allowed_origins),
        allowed_hosts=frozenset(host.lower() for host in settings.allowed_hosts),
        own_names=own_names(settings.host),
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
    )


def create_app(
    settings: Settings, service: SpeechService, metrics: Metrics, connections: Connections
) -> Starlette:
    """The application: every dialect's routes behind the checks of who may come in."""
    rules = access_rules(settings)
    routes = [route for dialect in DIALECTS for route in dialect(service)]
    routes += operations.routes(service, VERSION, lambda: connections.phase.value, metrics)
    return Starlette(
        routes=[*routes, WebSocketRoute("/{path:path}", _no_protocol_here)],
        middleware=[
            Middleware(_Cors, rules=rules),
            Middleware(AccessMiddleware, rules=rules),
            Middleware(
                ConnectionsMiddleware,
                connections=connections,
                always=OPEN_PATHS | {"/metrics"},
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
                port = sockets[0].getsockname()[1]
                log.info("ready on %s port %d: %s", settings.host, port, _names(service))
                announce(Running(settings.host, port, service))
                await stop.wait()
                log.info("stopping: speech under way has %g s to finish", settings.shutdown_seconds)
                connections.phase = Phase.DRAINING
                await service.drain(settings.shutdown_seconds)
                await connections.close_all(GOODBYE_SECONDS)
            finally:
                await service.stop()
    log.info("stopped")


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


class _WebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which here ends a handshake also where it is refused or cannot be read."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Such as more headers, or longer ones, than websockets reads (128 of 8 KiB), or a POST:
        # uvicorn would leave the client waiting.
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        # uvicorn takes a handshake that was refused for one without an answer, and logs an error
        # (its pull request 3138).
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True


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
