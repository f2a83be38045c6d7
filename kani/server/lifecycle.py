"""Runs uvicorn inside our own start and stop: accepting connections, signals, event-loop lag."""

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from urllib.parse import urlsplit

import h11
import uvicorn
from starlette.types import ASGIApp

from kani.composition.settings import Settings
from kani.core import shared_numbers
from kani.core.errors import InvalidRequest, StoreUnavailable, UnknownVoice
from kani.core.service import SpeechService
from kani.protocols.shared.protocol import MAX_MESSAGE_BYTES, UNREAD_S, StreamPort
from kani.runtime.host_names import is_loopback
from kani.server.connections import Connections, Phase
from kani.server.network.acceptor import Acceptor
from kani.server.network.handover import Handover
from kani.server.network.listeners import RESERVED_FILES, Listeners
from kani.server.network.streams import StreamProtocol, StreamService
from kani.server.network.tcp_connections import TcpConnection, TcpTable
from kani.server.network.uvicorn_http import READ_BYTES, HttpProtocol, SmallReads
from kani.server.network.uvicorn_websocket import WebSocketProtocol
from websocket_config import PUBLIC_TOKEN

LAG_INTERVAL_S = 0.1
PING_INTERVAL_S = 20.0
KEEP_ALIVE_S = 620
"""Time after an answer for the next request. A client that keeps a connection for longer than the server
sends a request into its end at times, and a POST is not repeated: Google's load balancers keep one for 600 s,
Go's clients 90 s, nginx 60 s. A full ``TcpTable`` closes these first."""

CLOSE_SECONDS = 4.0
STOP_SECONDS = 8.0
"""Time limits of shutdown: for the close handshakes of WebSockets, and for the engines to stop."""

SHORTEST_KEY = 16
"""Characters; a shorter key may be guessed."""

log = logging.getLogger("server")


@dataclass(frozen=True, slots=True)
class RunningServer:
    host: str
    listeners: Listeners
    tls: bool  # wss and https instead of ws and http, on every port
    service: SpeechService
    allowed: Mapping[StreamPort, tuple[str, ...]] = field(default_factory=dict)
    """Networks of clients that are served without a key."""
    needs_key: bool = False
    """True if clients of its WebSockets need a key, those of this machine included."""
    saves: tuple[str, ...] = ()
    """Texts of clients that are saved, and their places."""


def needs_key(settings: Settings) -> bool:
    """Return True if each client needs a key: other machines reach the address, and access is not free."""
    return not (settings.no_auth or is_loopback(settings.host))


def warn_about(settings: Settings, streams: Iterable[StreamPort], files: int) -> None:
    """Log settings that cannot be met or are easily misunderstood; ``files``: the limit on open files."""
    for stream in streams:
        if settings.compat and not settings.value(stream.option) and not is_loopback(settings.host):
            log.warning(
                "%s's port stays closed: it knows no keys, so on %s it opens only with --%s",
                *(stream.name, settings.host, stream.option.replace("_", "-")),
            )
    asked = [(url, "KANI_MCP_SERVERS", "arguments of tools") for url in settings.value("mcp_servers")]
    if settings.llm_url is not None:
        asked.append((settings.llm_url, "KANI_LLM_URL", "all that is said and answered"))
    for url, variable, what in asked:
        if not is_loopback(urlsplit(url).hostname or ""):
            log.warning("conversations send %s as text to another machine: %s (%s)", what, url, variable)
    if files < settings.max_connections + RESERVED_FILES:
        log.warning("this machine allows fewer open sockets than KANI_MAX_CONNECTIONS (see ulimit -n)")
    secret = {key.get_secret_value() for key in settings.api_keys} - {PUBLIC_TOKEN}
    if any(len(key) < SHORTEST_KEY for key in secret):
        log.warning(
            "KANI_API_KEYS holds a key of fewer than %d characters, which can be guessed; a new one: "
            "openssl rand -hex 16",
            SHORTEST_KEY,
        )
    if settings.api_keys and is_loopback(settings.host) and not settings.no_auth:
        log.warning(
            "keys are set, but on a loopback address clients of this machine need none; a proxy in front "
            "must send X-Forwarded-For, so that its clients do"
        )


async def run_service(
    server: RunningServer,
    settings: Settings,
    connections: Connections,
    stop: asyncio.Event,
    announce: Callable[[RunningServer], None],
) -> None:
    """Start the service, announce the server, wait for ``stop``, and end sessions and connections."""
    service = server.service
    try:
        if not await run_unless_stopped(stop, service.start()):
            exit_at_once()
        if settings.language is not None:
            service.catalogue.resolve(None, settings.language)
        _check_voices(settings.named_voices(), service)
        connections.phase = Phase.READY
        names = ", ".join(f"{engine.name} {engine.version}" for engine in service.engines)
        log.info("ready on %s port %d: %s", settings.host, server.listeners.port, names)
        announce(server)
        async with _advertised(server):
            await stop.wait()
        log.info("stopping: speech under way has %g s to finish", settings.shutdown_seconds)
        connections.phase = Phase.DRAINING
        await service.drain(settings.shutdown_seconds)
        await connections.close_all(CLOSE_SECONDS)
    finally:
        await service.stop()


@asynccontextmanager
async def _advertised(server: RunningServer) -> AsyncIterator[None]:
    """Announce the streams of a server that other machines can reach, while the body runs."""
    async with AsyncExitStack() as stack:
        for stream in server.listeners.streams:
            if not (is_loopback(server.host) or (shared_numbers.shared and shared_numbers.shared.row)):
                await stack.enter_async_context(stream.advertise(server.listeners.addresses(stream)))
        yield


def exit_at_once() -> None:
    """End the process without waiting for a thread that may still be downloading a model."""
    logging.shutdown()
    os._exit(0)


def _check_voices(named: Iterable[tuple[str, str]], service: SpeechService) -> None:
    """Raise InvalidRequest for an unknown voice; named: names of settings, and voices in them."""
    for setting, voice in named:
        try:
            service.catalogue.find(voice)
        except StoreUnavailable:
            # It may be there again when it is asked for.
            continue
        except UnknownVoice as error:
            raise InvalidRequest(setting, error.reason) from error


class _Server(uvicorn.Server):
    """uvicorn without its listeners and its signal handlers, which would end the process by the signal."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self.started = True


def http_config(app: ASGIApp, websockets: type[WebSocketProtocol]) -> uvicorn.Config:
    """Return the configuration of uvicorn; websockets: class of every WebSocket."""
    return uvicorn.Config(
        app,
        # h11 bounds the head of a request (64 KiB), httptools does not.
        http=HttpProtocol,
        ws=websockets,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_INTERVAL_S,
        ws_ping_timeout=UNREAD_S,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )


@asynccontextmanager
async def accept_connections(
    config: uvicorn.Config,
    sockets: Sequence[socket.socket],
    tls: ssl.SSLContext | None,
    stop: asyncio.Event,
    table: TcpTable,
    streams: Iterable[tuple[StreamService, Sequence[socket.socket]]] = (),
    handover: Handover | None = None,
) -> AsyncIterator[None]:
    """Accept connections on ``sockets`` while the body runs, then close the sockets.

    config: of their HTTP; stop: set if accepting ends by itself, by an error; table: counts the connections
    and ends slow ones; streams: the services without HTTP, each with its sockets; handover: between the
    processes of this server.
    """
    server = _Server(config)

    buffer = bytearray(READ_BYTES)

    owns = handover is None or handover.is_owner

    def pass_on(request: h11.Request, rest: bytes, transport: asyncio.Transport) -> bool:
        # The owner may have ended before this process.
        return handover is not None and not stop.is_set() and handover.pass_on(request, rest, transport)

    def new_protocol(tcp: TcpConnection, first: bytes = b"") -> SmallReads:
        return SmallReads(
            HttpProtocol(config, server.server_state, tcp, None if owns else pass_on), buffer, first
        )

    serving = asyncio.create_task(server.serve())
    acceptors = [(Acceptor(table, new_protocol, tls), sockets)]
    acceptors += [
        (Acceptor(table, partial(StreamProtocol, service), None), listening) for service, listening in streams
    ]
    accepting = [
        asyncio.create_task(acceptor.accept(sock), name="accept")
        for acceptor, listening in acceptors
        for sock in listening
    ]
    if handover is not None and owns:
        taking_over = acceptors[0][0].take_over(handover, lambda first: partial(new_protocol, first=first))
        accepting.append(asyncio.create_task(taking_over, name="take over"))
    for task in (serving, *accepting):
        task.add_done_callback(lambda _: stop.set())
    try:
        with table.enforce_timeouts():
            yield
    finally:
        for task in accepting:
            task.cancel()
        await asyncio.wait(accepting)
        for _, listening in acceptors:
            for sock in listening:
                sock.close()
        server.should_exit = True
        await serving
        for task in accepting:
            # Raise the error that ended one by itself.
            with suppress(asyncio.CancelledError):
                task.result()


@contextmanager
def stop_on_signal(within_s: float) -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM and Ctrl+C set; Ctrl+C after either ends the process at once.

    A process that still runs ``within_s`` seconds after the first signal ends with exit code 1 and writes the
    stack of each thread to standard error, whichever thread hangs.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if seen and number == signal.SIGINT:
            os._exit(130)
        if not seen:
            # Its watchdog thread needs neither the event loop nor the interpreter lock.
            faulthandler.dump_traceback_later(within_s, exit=True)
        seen.append(number)
        loop.call_soon_threadsafe(stop.set)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def run_unless_stopped(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Await ``work``; return False, with ``work`` cancelled, if ``stop`` is set first."""
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


@contextmanager
def watch_loop_lag(observe: Callable[[float], None]) -> Iterator[None]:
    """While the body runs, report by ``observe`` every ``LAG_INTERVAL_S`` how late a timer ran (seconds)."""
    loop = asyncio.get_running_loop()
    # Not the loop's own clock: uvloop updates it once per iteration.
    due = time.perf_counter() + LAG_INTERVAL_S
    timer: asyncio.TimerHandle

    def measure() -> None:
        nonlocal due, timer
        now = time.perf_counter()
        observe(max(0.0, now - due))
        due = now + LAG_INTERVAL_S
        timer = loop.call_later(LAG_INTERVAL_S, measure)

    timer = loop.call_later(LAG_INTERVAL_S, measure)
    try:
        yield
    finally:
        timer.cancel()
