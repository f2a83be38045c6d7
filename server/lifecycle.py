"""Runs uvicorn inside our own start and stop: accepting connections, signals, event-loop lag."""

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
    """uvicorn without its listeners and its signal handlers, which would end the process by the signal."""

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
    """Accept connections on ``sockets`` while the body runs, then close the sockets.

    protocol: class of every WebSocket; stop: set if accepting ends by itself, by an error; table: counts the
    connections and ends slow ones.
    """
    config = uvicorn.Config(
        app,
        # h11 bounds the head of a request (64 KiB), httptools does not.
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
    accepting = [asyncio.create_task(acceptor.accept(sock), name="accept") for sock in sockets]
    for task in (serving, *accepting):
        task.add_done_callback(lambda _: stop.set())
    try:
        with table.enforce_timeouts():
            yield
    finally:
        for task in accepting:
            task.cancel()
        await asyncio.wait(accepting)
        for sock in sockets:
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
