"""Composition of the server: from its settings to engines, speech service, protocols and application."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute

from kani.composition.settings import Settings, own_protocols, plugin_protocols
from kani.composition.speech_service import build_service
from kani.core import shared_numbers
from kani.core.errors import EngineUnavailable
from kani.core.observer import Observer
from kani.core.service import SpeechService
from kani.core.session.budget import Budget
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings
from kani.protocols.shared.protocol import (
    MAX_MESSAGE_BYTES,
    METRICS_PORT,
    UNREAD_S,
    Context,
    PathClass,
    Protocol,
)
from kani.runtime.host_names import is_loopback
from kani.server import health, lifecycle, middleware, openapi, page
from kani.server.access import MAX_UNAUTHENTICATED, AccessMiddleware, AccessRules
from kani.server.allocator import periodic_trim
from kani.server.calls import ALWAYS_SERVED, DOCUMENT_PATH
from kani.server.calls import call_group as server_calls
from kani.server.connections import Connections, ConnectionsMiddleware, Phase, unavailable
from kani.server.metrics import Metrics
from kani.server.middleware import ErrorAnswers
from kani.server.network.handover import Handover
from kani.server.network.listeners import (
    Listeners,
    files_needed,
    machine_names,
    max_tcp_connections,
    open_files,
    open_listeners,
    raise_file_limit,
    server_context,
)
from kani.server.network.streams import StreamService, networks
from kani.server.network.tcp_connections import TcpTable
from kani.server.network.upload_budget import KEYLESS_BYTES, upload_budget
from kani.server.network.uvicorn_websocket import WebSocketProtocol
from kani.server.traces.collector import send_traces
from kani.server.traces.middleware import Tracer, TracingMiddleware
from kani.server.watchdog import watch_event_loop
from websocket_config import VERSION

log = logging.getLogger("server")

T = TypeVar("T")

BuildService = Callable[[Settings, Observer, CollectorRegistry], SpeechService]
"""Makes a speech service that is not started, as ``build_service`` does."""


def protocols_for(settings: Settings) -> tuple[Protocol, ...]:
    """Return every protocol; where prefixes of paths overlap, the more special one comes first.

    Raises EngineUnavailable for one of another package that cannot be built.
    """
    server = ServerSettings(VERSION, settings.max_upload << 20, settings.max_text, settings.value)
    return (page.protocol(), *(_built(plugin, settings, server) for plugin in plugin_protocols()))


def _built(plugin: ProtocolPlugin[Any], settings: Settings, server: ServerSettings) -> Protocol:
    own = settings.of_plugin(plugin.settings)
    if plugin.name in own_protocols():
        return plugin.build(own, server)
    try:
        return plugin.build(own, server)
    except Exception as error:  # whatever the code of another package raises
        reason = f"{type(error).__name__}: {error}"
        raise EngineUnavailable(f"the protocol {plugin.name} cannot be used: {reason}") from error


def access_rules(settings: Settings, protocols: Sequence[Protocol]) -> AccessRules:
    """Return the access rules of the settings, with the paths of ``protocols``."""
    # Another package's protocol comes last, and opens no path of this one's.
    paths = _merged(protocol.paths for protocol in reversed(protocols))
    return AccessRules(
        loopback=is_loopback(settings.host),
        keys=tuple(key.get_secret_value() for key in settings.api_keys),
        no_auth=settings.no_auth,
        allowed_origins=frozenset(settings.allowed_origins),
        allowed_hosts=frozenset(settings.allowed_hosts),
        machine_names=machine_names(settings.host),
        paths=paths
        | dict.fromkeys((health.HEALTH_PATH, health.LIVE_PATH), PathClass.PUBLIC)
        | {DOCUMENT_PATH: PathClass.PAGE},
        key_in_first_message=tuple(
            prefix for protocol in protocols for prefix in protocol.key_in_first_message
        ),
        temporary_keys=_merged(protocol.temporary_keys for protocol in protocols),
    )


def _merged(mappings: Iterable[Mapping[str, T]]) -> dict[str, T]:
    """Return one mapping of all; where several have a key, the last one counts."""
    return {key: value for mapping in mappings for key, value in mapping.items()}


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of the application of one server."""

    settings: Settings
    protocols: Sequence[Protocol]
    service: SpeechService
    metrics: Metrics
    connections: Connections
    upload_budget: Budget = field(default_factory=upload_budget)
    tracer: Tracer | None = None  # records every request
    ports: Mapping[str, int] = field(default_factory=dict)  # see ``Context``
    start: health.StartTime | None = None  # knows how long the start takes
    handover: Handover | None = None


def create_app(parts: Parts) -> Starlette:
    """Return the application: the routes of every protocol, with access control."""
    protocols, metrics, connections = parts.protocols, parts.metrics, parts.connections
    rules = access_rules(parts.settings, protocols)
    context = Context(parts.service, metrics.registry, parts.ports)
    metrics_port = parts.ports.get(METRICS_PORT.name)
    refusals = _merged(protocol.refusals for protocol in protocols)
    answers = ErrorAnswers(refusals)

    def document() -> dict[str, Any]:
        return openapi.build_document(server_calls(metrics.content_type), protocols, rules, VERSION)

    return Starlette(
        routes=[
            *(route for protocol in protocols for route in protocol.routes(context)),
            *health.routes(
                parts.service,
                VERSION,
                lambda: connections.phase.value,
                metrics,
                [protocol.health_fields for protocol in protocols],
                parts.start,
            ),
            *openapi.routes(document),
            WebSocketRoute("/{path:path}", answers.unknown_websocket),
        ],
        middleware=[
            Middleware(middleware.HttpMetricsMiddleware, registry=metrics.registry),
            Middleware(middleware.ResponseHeadersMiddleware),
            *(
                []
                if parts.tracer is None
                else [Middleware(TracingMiddleware, tracer=parts.tracer, untraced_paths=health.ALWAYS_SERVED)]
            ),
            Middleware(middleware.CorsMiddleware, rules=rules),
            Middleware(middleware.UnhandledErrorMiddleware),
            # Before access control: on that port `/` is the metrics and not the page, which is public.
            *(
                []
                if metrics_port is None
                else [Middleware(middleware.MetricsOnlyMiddleware, port=metrics_port)]
            ),
            Middleware(
                AccessMiddleware,
                rules=rules,
                refusal_bodies=refusals,
                max_unauthenticated=min(MAX_UNAUTHENTICATED, max(1, parts.settings.max_connections // 4)),
            ),
            Middleware(
                ConnectionsMiddleware,
                connections=connections,
                exempt_paths=ALWAYS_SERVED,
                max_body=MAX_MESSAGE_BYTES,
                longer_bodies=_merged(protocol.max_body for protocol in protocols),
                upload_budget=parts.upload_budget,
                not_served=owned_by_one(protocols),
                refusal=_refusal(parts.handover),
            ),
        ],
        exception_handlers={HTTPException: answers.http_error, ClientDisconnect: answers.client_disconnected},
    )


def _refusal(handover: Handover | None) -> JSONResponse | None:
    """Return the answer to what another process has to serve; None in that process."""
    if shared_numbers.shared is None or (handover is not None and handover.is_owner):
        return None
    if handover is None:
        return JSONResponse({"error": {"message": "with TLS, only one front (--fronts 1) serves this"}}, 501)
    return unavailable("this process cannot hand the request over now: send it again")


async def serve(
    settings: Settings,
    announce: Callable[[lifecycle.RunningServer], None],
    *,
    stop: asyncio.Event | None = None,
    build: BuildService = build_service,
    listening: Sequence[socket.socket] | Listeners | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl+C, let speech under way finish, and return.

    announce: called once, when the server is ready; stop: ends the server instead of signals; build: makes
    its speech service; listening: the sockets of its port, or of all ports, if they are open already.

    A second Ctrl+C ends the process at once, with exit code 130. Raises CannotListen, SettingsError for TLS,
    EngineUnavailable, and InvalidRequest for a voice or language that no engine has.
    """
    async with send_traces(os.environ, VERSION) as tracer:
        service = await _serve(settings, announce, stop, build, tracer, listening)
    log.info("stopped")
    if stop is None and service.still_loading:
        lifecycle.exit_at_once()


async def _serve(
    settings: Settings,
    announce: Callable[[lifecycle.RunningServer], None],
    stop: asyncio.Event | None,
    build: BuildService,
    tracer: Tracer | None,
    listening: Sequence[socket.socket] | Listeners | None,
) -> SpeechService:
    """Serve until the server is stopped; return its service, which has stopped. See ``serve``."""
    start = health.StartTime(settings.cache_dir, settings.engine)
    tls = server_context(settings.tls_cert, settings.tls_key)
    protocols = protocols_for(settings)
    streams = [stream for protocol in protocols for stream in protocol.streams]
    opened = listening if isinstance(listening, Listeners) else listeners_of(settings, protocols, listening)
    with opened as listeners:
        files = raise_file_limit(files_needed(settings.max_connections))
        lifecycle.warn_about(settings, streams, files)
        metrics = Metrics(VERSION)
        service = build(settings, metrics, metrics.registry)
        connections = Connections(settings.max_connections, metrics.connections.set, UNREAD_S)
        parts = Parts(
            *(settings, protocols, service, metrics, connections),
            tracer=tracer,
            ports={door.name: number for door, number in listeners.compat.items()} | {"port": listeners.port},
            start=start,
            handover=listeners.handover,
        )
        websockets = _websocket_class(protocols, listeners, parts.upload_budget)
        http = lifecycle.http_config(create_app(parts), websockets)
        limit = max_tcp_connections(settings.max_connections, files, open_files())
        table = TcpTable(limit, metrics.tcp_connection_closed)
        if late := shared_numbers.shared is not None and shared_numbers.shared.late:
            table.accepts.clear()

        def accept_and_announce(running: lifecycle.RunningServer) -> None:
            table.accepts.set()
            announce(running)

        metrics.set_limits(connections=settings.max_connections, waiting=settings.max_waiting)
        metrics.ready.set_function(lambda: connections.phase is Phase.READY and service.ready)
        within_s = settings.shutdown_seconds + lifecycle.CLOSE_SECONDS + lifecycle.STOP_SECONDS
        async with AsyncExitStack() as stack:
            if stop is None:
                stop = stack.enter_context(lifecycle.stop_on_signal(within_s))
                await stack.enter_async_context(watch_event_loop(within_s))
            stack.enter_context(lifecycle.watch_loop_lag(metrics.loop_lag.observe))
            streams_served = _stream_services(parts, listeners)
            async with (
                periodic_trim(),
                lifecycle.accept_connections(
                    http, listeners.sockets, tls, stop, table, streams_served, listeners.handover
                ),
            ):
                running = lifecycle.RunningServer(
                    settings.host,
                    listeners,
                    tls is not None,
                    service,
                    {stream: settings.value(stream.allow) for stream in listeners.streams},
                    lifecycle.needs_key(settings),
                    tuple(each for protocol in protocols for each in protocol.saves),
                )
                ready = accept_and_announce if late else start.kept_before(accept_and_announce)
                await lifecycle.run_service(running, settings, connections, stop, ready)
    return service


def owned_by_one(protocols: Iterable[Protocol]) -> tuple[str, ...]:
    """Return what only one process of a server can serve, see ``Protocol.one_process``."""
    return tuple(call for protocol in protocols for call in protocol.one_process)


def listeners_of(
    settings: Settings, protocols: Sequence[Protocol], listening: Sequence[socket.socket] | None = None
) -> Listeners:
    """Listen on all ports of the server and of its protocols, as ``open_listeners`` does."""
    ports = [port for protocol in protocols for port in protocol.ports]
    streams = [stream for protocol in protocols for stream in protocol.streams]
    return open_listeners(settings, ports, streams, listening)


def _stream_services(
    parts: Parts, listeners: Listeners
) -> list[tuple[StreamService, Sequence[socket.socket]]]:
    """Return the services of the open ports without HTTP, each with its sockets."""
    context, budget = Context(parts.service, parts.metrics.registry), upload_budget(KEYLESS_BYTES)
    served = []
    for stream, listening in listeners.streams.items():
        allowed = networks(parts.settings.value(stream.allow))
        serve = stream.serve(context)
        service = StreamService(stream, serve, allowed, parts.connections, budget, parts.tracer)
        served.append((service, listening))
    return served


def _websocket_class(
    protocols: Sequence[Protocol], listeners: Listeners, budget: Budget
) -> type[WebSocketProtocol]:
    """Return the class of every WebSocket, with the limits and root paths of ``protocols``."""

    class ServedWebSocket(WebSocketProtocol):
        max_message_bytes: ClassVar[Mapping[str, int]] = _merged(
            protocol.max_message for protocol in protocols
        )
        root_paths: ClassVar[Mapping[int, str]] = listeners.root_paths
        upload_budget: ClassVar[Budget] = budget

    return ServedWebSocket
