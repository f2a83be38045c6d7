"""The ASGI application, and its life: start, serve, drain, stop."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from engines.elevenlabs.metrics import UpstreamMetrics
from engines.espeak.reference_voice import EspeakReferenceVoice
from engines.recording_check import check_recording
from engines.registry import Engines, engines_for, recognizer_for
from engines.settings import KOKORO_THREADS, ElevenLabsUpstream, KaniSettings, KokoroSettings
from protocols import elevenlabs, kani, kyutai, livekit_tokens, voices_api, voxcpm
from protocols.kyutai.metrics import KyutaiMetrics
from protocols.voxcpm.metrics import VoxCPMMetrics
from server import event_loop, health, page
from server.access import (
    MAX_UNAUTHENTICATED,
    AccessMiddleware,
    AccessRules,
    Paths,
    Refusal,
    RefusalBody,
    ResourcePolicyMiddleware,
    is_loopback,
    plain_refusal,
)
from server.allocator import periodic_trim
from server.connections import Connections, ConnectionsMiddleware, Phase, RequestIdMiddleware
from server.lifecycle import accept_connections, run_unless_stopped, stop_on_signal
from server.metrics import Metrics
from server.middleware import HttpMetricsMiddleware
from server.network.listeners import (
    RESERVED_FILES,
    files_needed,
    machine_names,
    max_tcp_connections,
    raise_file_limit,
)
from server.network.ports import (
    METRICS_PATH,
    METRICS_PORT,
    CompatPort,
    Listeners,
    MetricsOnlyMiddleware,
    open_listeners,
)
from server.network.tcp_connections import TcpTable
from server.network.tls import server_context
from server.network.upload_budget import UploadBudget
from server.network.uvicorn_websocket import WebSocketProtocol
from server.settings import Settings
from server.unhandled_errors import UnhandledErrorMiddleware
from speech.errors import EngineUnavailable, InvalidRequest, UnknownVoice
from speech.late_engine import LateEngine
from speech.recognizer import Recognizer
from speech.request import Limits
from speech.service import SpeechService
from speech.text.lexicon_file import LexiconFile
from speech.text.normalizer import TableError, check_tables
from speech.voices.catalogue import VoiceStore
from websocket_config import VERSION

log = logging.getLogger("server")

HEALTH = "/health"
CLONING = ("x-cloning", "x-similarity", "x-cloning-note")
SOUND = ("x-sample-rate", "x-channels", "x-bit-depth")
EXPOSED = ("x-request-id", "request-id", "character-cost", "x-unused", *SOUND, *CLONING)
"""Headers of answers that web pages of other origins may read."""

CLOSE_SECONDS = 2.0
STOP_SECONDS = 10.0
"""How long engines may take to stop, when nothing is spoken any more."""

Facts = list[Callable[[], Mapping[str, Any]]]
"""What dialects add to the facts of /health, asked for each time."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """A wire protocol, and what of the server is not as for the others.

    routes: makes its routes, and adds to the facts that /health tells; paths: who may come in there;
    refusals: by the beginning of a path, how its clients are told that they may not come in;
    ports: opened by KANI_COMPAT; largest_messages: bytes, by the WebSocket's path, where
    KANI_MAX_MESSAGE_BYTES does not count.
    """

    routes: Callable[[Settings, SpeechService, Metrics, Facts], list[BaseRoute]]
    paths: Paths = field(default_factory=Paths)
    refusals: Mapping[str, RefusalBody] = field(default_factory=dict)
    ports: tuple[CompatPort, ...] = ()
    largest_messages: Mapping[str, int] = field(default_factory=dict)


def _kyutai(settings: Settings, service: SpeechService, metrics: Metrics, facts: Facts) -> list[BaseRoute]:
    chosen = kyutai.KyutaiSettings(settings.idle_seconds, VERSION, settings.max_message_bytes)
    return kyutai.routes(service, chosen, KyutaiMetrics(metrics.registry))


def _voxcpm(settings: Settings, service: SpeechService, metrics: Metrics, facts: Facts) -> list[BaseRoute]:
    if settings.voice_dir is not None and not settings.voice_dir.is_dir():
        log.warning("there is no voice folder %s (KANI_VOICE_DIR)", settings.voice_dir)
    hosts = frozenset(host.lower() for host in settings.recording_hosts)
    chosen = voxcpm.VoxCPMSettings(settings.voxcpm_max_text, settings.voice_dir, hosts)
    return voxcpm.routes(service, chosen, VoxCPMMetrics(metrics.registry))


def _elevenlabs(
    settings: Settings, service: SpeechService, metrics: Metrics, facts: Facts
) -> list[BaseRoute]:
    chosen = elevenlabs.ElevenLabsSettings(
        max_text=settings.elevenlabs_max_text,
        timing=settings.elevenlabs_times,
        voices=settings.elevenlabs_voices,
    )
    relayed = elevenlabs.RelaySettings(
        settings.elevenlabs_voice_id, settings.log_alignment, settings.log_outputs, settings.logs_dir
    )
    state = elevenlabs.RelayState()
    facts.append(state.health_fields)
    return elevenlabs.routes(service, chosen, relayed, state)


def _elevenlabs_refusal(refusal: Refusal) -> dict[str, Any]:
    return elevenlabs.error_body(refusal.status, refusal.reason, refusal.call)


def _livekit(settings: Settings, service: SpeechService, metrics: Metrics, facts: Facts) -> list[BaseRoute]:
    secret = settings.livekit_api_secret
    chosen = livekit_tokens.LiveKitSettings(
        settings.livekit_url, settings.livekit_api_key, secret.get_secret_value() if secret else None
    )
    return livekit_tokens.routes(chosen)


DIALECTS = (
    Dialect(
        lambda settings, service, metrics, facts: kani.routes(service),
        ports=(CompatPort("rest_port", "http", "Kani REST"),),
    ),
    # Its paths begin as ElevenLabs' do: it comes before that protocol.
    Dialect(
        lambda settings, service, metrics, facts: voices_api.routes(service),
        refusals={voices_api.PATH: plain_refusal},
    ),
    Dialect(lambda settings, service, metrics, facts: page.routes(), Paths(pages=page.PATHS)),
    Dialect(
        _kyutai,
        Paths(
            public=frozenset({"/api/build_info", "/api/modules_info"}),
            requires_key=frozenset({*kyutai.SPEECH_PATHS, "/api/tts", kyutai.RECOGNITION_PATH}),
            no_key_with_public_token=frozenset({"/api/voice"}),
        ),
        ports=(
            CompatPort("kyutai_port", "ws", "Kyutai"),
            CompatPort("kyutai_voice_port", "http", "Kyutai voice cloning"),
        ),
        largest_messages=dict.fromkeys((*kyutai.SPEECH_PATHS, kyutai.RECOGNITION_PATH), 64 << 20),
    ),
    Dialect(
        _voxcpm,
        ports=(
            CompatPort("voxcpm_port", "ws", "VoxCPM", voxcpm.PATH),
            CompatPort("voxcpm_page_port", "http", "VoxCPM's page"),
        ),
        largest_messages={voxcpm.PATH: 1 << 20},
    ),
    Dialect(
        _elevenlabs,
        Paths(key_in_first_message=("/v1/text-to-speech/",)),
        dict.fromkeys(elevenlabs.PREFIXES, _elevenlabs_refusal),
        ports=(CompatPort("relay_port", "ws", "relay"),),
    ),
    Dialect(_livekit),
)
REFUSALS = {path: body for dialect in DIALECTS for path, body in dialect.refusals.items()}
PATHS = Paths(
    public=frozenset({HEALTH}).union(*(dialect.paths.public for dialect in DIALECTS)),
    requires_key=frozenset().union(*(dialect.paths.requires_key for dialect in DIALECTS)),
    no_key_with_public_token=frozenset().union(
        *(dialect.paths.no_key_with_public_token for dialect in DIALECTS)
    ),
    pages=frozenset().union(*(dialect.paths.pages for dialect in DIALECTS)),
    key_in_first_message=tuple(path for dialect in DIALECTS for path in dialect.paths.key_in_first_message),
)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is ready: where it listens, with or without TLS, and who speaks."""

    host: str
    listeners: Listeners
    tls: bool
    service: SpeechService


def access_rules(settings: Settings) -> AccessRules:
    """Who may come in, by the settings."""
    return AccessRules(
        loopback=is_loopback(settings.host),
        keys=tuple(key.get_secret_value() for key in settings.api_keys),
        no_auth=settings.no_auth,
        allowed_origins=frozenset(settings.allowed_origins),
        allowed_hosts=frozenset(host.lower() for host in settings.allowed_hosts),
        machine_names=machine_names(settings.host),
        paths=PATHS,
    )


def build_service(settings: Settings, metrics: Metrics) -> SpeechService:
    """The speech service of the settings, not started. Raises EngineUnavailable."""
    limits = Limits(
        max_text=settings.max_text,
        max_sessions=settings.max_connections,
        max_waiting=settings.max_waiting,
        ahead_s=settings.ahead_seconds,
        rate_per_minute=settings.rate_per_minute if settings.rate_limit_enabled else 0,
        request_timeout_s=settings.request_timeout,
        max_concurrent=settings.max_concurrent,
    )
    try:
        check_tables()
    except TableError as error:
        raise EngineUnavailable(f"how texts are read cannot be read itself: {error}") from error
    engines = build_engines(settings, metrics.registry)
    return SpeechService(
        engines.required,
        VoiceStore(settings.data_dir, check_recording),
        limits,
        default_language=settings.language,
        default_voice=settings.voice,
        observer=metrics,
        late_engine=_late_engine(settings, engines),
        recognizer=build_recognizer(settings.recognizer, settings),
        reference_voice=EspeakReferenceVoice(),
        lexicon=LexiconFile(settings.lexicon) if settings.lexicon is not None else None,
        announce_code=settings.code_blocks == "announce",
    )


def build_engines(
    settings: Settings, registry: CollectorRegistry, *, fetch_requested: bool = False
) -> Engines:
    """Build the engines of the settings, not started.

    registry: holds the metrics of ElevenLabs' service; fetch_requested: ``--fetch``, which fetches the
    files of engines that ``auto`` chooses as well.
    """
    key = settings.elevenlabs_api_key
    return engines_for(
        settings.engine,
        kani=KaniSettings(
            model=settings.model,
            codec=settings.codec,
            embedder=settings.embedder,
            device=settings.device,
            precision=settings.precision,
            slots=settings.slots,
            threads=settings.threads,
            may_fetch=not settings.no_fetch,
        ),
        kokoro=KokoroSettings(
            models_dir=settings.models_dir,
            cache_dir=settings.cache_dir,
            threads=settings.threads or KOKORO_THREADS,
            decoding=settings.kokoro_decoding,
            decoder=settings.kokoro_decoder,
            may_fetch=_may_fetch(settings.engine, settings, fetch_requested=fetch_requested),
        ),
        elevenlabs=ElevenLabsUpstream(
            api_key=key.get_secret_value() if key is not None else "",
            voice_id=settings.elevenlabs_voice_id or "",
            model=settings.elevenlabs_model,
            optimize_latency=settings.elevenlabs_optimize_latency,
            base_url=settings.elevenlabs_url,
            fallback=settings.elevenlabs_fallback,
        ),
        metrics=UpstreamMetrics(registry),
        cache_dir=settings.cache_dir,
    )


def build_recognizer(name: str, settings: Settings, *, fetch_requested: bool = False) -> Recognizer | None:
    """Build the recogniser of ``name``, not started; None for ``none``. fetch_requested: ``--fetch``."""
    return recognizer_for(
        name,
        models_dir=settings.models_dir,
        cache_dir=settings.cache_dir,
        may_fetch=_may_fetch(name, settings, fetch_requested=fetch_requested),
    )


def _may_fetch(name: str, settings: Settings, *, fetch_requested: bool) -> bool:
    """Return whether missing files of ``name`` may be fetched: the user named it, or asked for files."""
    return (fetch_requested or name != "auto") and not settings.no_fetch


def _late_engine(settings: Settings, engines: Engines) -> LateEngine | None:
    """Return the late engine with a recogniser of its own, which its trial needs."""
    recognizer = build_recognizer("auto", settings)
    if engines.late is None or recognizer is None:
        return None
    name, engine = engines.late
    return LateEngine(name, engine, recognizer, settings.language)


def create_app(
    settings: Settings,
    service: SpeechService,
    metrics: Metrics,
    connections: Connections,
    upload_budget: UploadBudget,
    metrics_port: int | None = None,
) -> Starlette:
    """The application: every dialect's routes behind the checks of who may come in.

    intake: holds the bytes of unfinished bodies; metrics_port: where nothing but the metrics is served.
    """
    rules = access_rules(settings)
    facts: Facts = []
    routes = [route for dialect in DIALECTS for route in dialect.routes(settings, service, metrics, facts)]
    routes += health.routes(service, VERSION, lambda: connections.phase.value, metrics, facts)
    return Starlette(
        routes=[*routes, WebSocketRoute("/{path:path}", _no_protocol_here)],
        middleware=[
            Middleware(HttpMetricsMiddleware, registry=metrics.registry),
            Middleware(RequestIdMiddleware),
            Middleware(ResourcePolicyMiddleware),
            Middleware(_Cors, rules=rules),
            Middleware(UnhandledErrorMiddleware),
            # Before the look at who comes: on that port `/` is not the page, which is open to all.
            *([] if metrics_port is None else [Middleware(MetricsOnlyMiddleware, port=metrics_port)]),
            Middleware(
                AccessMiddleware,
                rules=rules,
                refusal_bodies=REFUSALS,
                max_unauthenticated=min(MAX_UNAUTHENTICATED, max(1, settings.max_connections // 4)),
            ),
            Middleware(
                ConnectionsMiddleware,
                connections=connections,
                exempt_paths=frozenset({HEALTH, METRICS_PATH}),
                max_body=settings.max_message_bytes,
                upload_budget=upload_budget,
            ),
        ],
        exception_handlers={HTTPException: _http_error, ClientDisconnect: _gone},
    )


async def serve(settings: Settings, announce: Callable[[RunningServer], None]) -> None:
    """Serve until SIGTERM or Ctrl+C, then let speech under way finish, and return.

    ``announce`` is called once, when the server is ready. Ctrl+C once more ends the process at
    once, with exit code 130. Raises CannotListen, EngineUnavailable, and InvalidRequest for a
    default voice or language that no engine speaks.
    """
    tls = server_context(settings.tls_cert, settings.tls_key)
    doors = open_listeners(settings, [door for dialect in DIALECTS for door in dialect.ports])
    files = raise_file_limit(files_needed(settings.max_connections))
    if files < settings.max_connections + RESERVED_FILES:
        log.warning("this machine allows fewer open sockets than KANI_MAX_CONNECTIONS (see ulimit -n)")
    if settings.api_keys and is_loopback(settings.host) and not settings.no_auth:
        log.warning(
            "keys are set, but on a loopback address clients of this machine need none; a proxy in front "
            "must send X-Forwarded-For, so that its clients do"
        )
    metrics = Metrics(VERSION)
    connections = Connections(settings.max_connections, metrics.set_connections, settings.ping_timeout)
    service = build_service(settings, metrics)
    intake = UploadBudget()
    app = create_app(settings, service, metrics, connections, intake, doors.compat.get(METRICS_PORT))
    protocol = _websocket_protocol(doors, intake)
    table = TcpTable(max_tcp_connections(settings.max_connections, files), metrics.tcp_connection_closed)
    metrics.set_limits(connections=settings.max_connections, waiting=settings.max_waiting)
    metrics.watch_ready(lambda: connections.phase is Phase.READY and service.ready)
    metrics.watch_fast_decoder(lambda: any(engine.decoder == "fast" for engine in service.engines))
    within_s = settings.shutdown_seconds + CLOSE_SECONDS + STOP_SECONDS
    with stop_on_signal(within_s) as stop, event_loop.watch_loop_lag(metrics.observe_loop_lag):
        sockets = doors.sockets
        async with periodic_trim(), accept_connections(app, settings, sockets, protocol, tls, stop, table):
            try:
                if not await run_unless_stopped(stop, service.start()):
                    # A thread may still be fetching a model: there is nothing here to wait for.
                    logging.shutdown()
                    os._exit(0)
                service.catalogue.resolve(None, settings.language)
                _check_voices(settings.elevenlabs_voices.values(), service)
                connections.phase = Phase.READY
                log.info("ready on %s port %d: %s", settings.host, doors.port, _names(service))
                announce(RunningServer(settings.host, doors, tls is not None, service))
                await stop.wait()
                log.info("stopping: speech under way has %g s to finish", settings.shutdown_seconds)
                connections.phase = Phase.DRAINING
                await service.drain(settings.shutdown_seconds)
                await connections.close_all(CLOSE_SECONDS)
            finally:
                await service.stop()
    log.info("stopped")
    if service.late_engine is not None and service.late_engine.state == "loading":
        # A thread may still be fetching a model: there is nothing here to wait for.
        logging.shutdown()
        os._exit(0)


def _check_voices(named: Iterable[str], service: SpeechService) -> None:
    """Raises InvalidRequest for a voice of ``KANI_ELEVENLABS_VOICES`` that nobody has."""
    for voice in named:
        try:
            service.catalogue.language_of(voice)
        except UnknownVoice as error:
            raise InvalidRequest("elevenlabs_voices", error.reason) from error


def _names(service: SpeechService) -> str:
    return ", ".join(f"{engine.name} {engine.version}" for engine in service.engines)


class _Cors(CORSMiddleware):
    """Tells browsers which pages may read our answers: those that may come in."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        super().__init__(
            app,
            allow_methods=("GET", "POST", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=EXPOSED,
            max_age=600,
        )
        self._rules = rules

    def is_allowed_origin(self, origin: str) -> bool:
        return self._rules.origin_allowed(origin)


def _websocket_protocol(doors: Listeners, held: UploadBudget) -> type[WebSocketProtocol]:
    """What every WebSocket is, with what the table says of its path and its port."""

    class Protocol(WebSocketProtocol):
        max_message_bytes: ClassVar[Mapping[str, int]] = {
            path: size for dialect in DIALECTS for path, size in dialect.largest_messages.items()
        }
        root_paths: ClassVar[Mapping[int, str]] = doors.root_paths
        upload_budget: ClassVar[UploadBudget] = held

    return Protocol


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    refusal = Refusal(error.status_code, error.detail, f"{request.method} {path}")
    return JSONResponse(_body(path)(refusal), error.status_code, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to read it."""
    return Response(status_code=400)


async def _no_protocol_here(websocket: WebSocket) -> None:
    path = websocket.url.path
    refusal = Refusal(404, f"nothing speaks on {path}; try /", f"WebSocket {path}")
    await websocket.send_denial_response(JSONResponse(_body(path)(refusal), 404))


def _body(path: str) -> RefusalBody:
    """What tells a refusal to the clients of a path."""
    return next((body for start, body in REFUSALS.items() if path.startswith(start)), plain_refusal)
