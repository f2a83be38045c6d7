"""uvicorn within a life of our own: connections are accepted while something runs, until a signal comes."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from server.network.acceptor import Acceptor
from server.network.tcp_connections import TcpConnection, TcpTable
from server.network.uvicorn_http import HttpProtocol
from server.network.uvicorn_websocket import WebSocketProtocol
from server.settings import Settings

LAG_INTERVAL_S = 0.1


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process by the signal, and its listeners."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self.started = True


@asynccontextmanager
async def accept_connections(
    app: ASGIApp,
    settings: Settings,
    sockets: Sequence[socket.socket],
    protocol: type[WebSocketProtocol],
    tls: ssl.SSLContext | None,
    stop: asyncio.Event,
    table: TcpTable,
) -> AsyncIterator[None]:
    """Accept connections on ``sockets`` while the body runs; ``stop`` is set if that ends by itself.

    The sockets are closed at the end. table: counts the connections.
    """
    config = uvicorn.Config(
        app,
        # The parser that bounds a request's head (64 KiB); httptools' reads on for ever.
        http=HttpProtocol,
        ws=protocol,
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
    server = _Server(config)

    def new_protocol(tcp: TcpConnection) -> HttpProtocol:
        return HttpProtocol(config, server.server_state, tcp)

    serving = asyncio.create_task(server.serve())
    acceptor = Acceptor(table, new_protocol, tls)
    accepted = [asyncio.create_task(acceptor.accept(sock), name="accept") for sock in sockets]
    for task in (serving, *accepted):
        task.add_done_callback(lambda _: stop.set())
    try:
        with table.enforce_timeouts():
            yield
    finally:
        for task in accepted:
            task.cancel()
        await asyncio.wait(accepted)
        for sock in sockets:
            sock.close()
        server.should_exit = True
        await serving
        for task in accepted:
            # What ended one by itself is to be known.
            with suppress(asyncio.CancelledError):
                task.result()


@contextmanager
def stop_on_signal(within_s: float) -> Iterator[asyncio.Event]:
    """An event that SIGTERM and Ctrl+C set; Ctrl+C ends the process if either came before.

    A process that is still there ``within_s`` seconds later ends with exit code 1, and writes to standard
    error what each thread does: nothing that hangs, in whatever thread, can keep it.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if seen and number == signal.SIGINT:
            os._exit(130)
        if not seen:
            # It has a thread of its own that needs neither the event loop nor Python.
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
