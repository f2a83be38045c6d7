"""uvicorn within a life of our own: connections are accepted while something runs, until a signal comes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from settings import Settings
from websocket_protocol import WebSocketProtocol


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers, which would end the process by the signal itself."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def accepting(
    app: ASGIApp,
    settings: Settings,
    sockets: Sequence[socket.socket],
    protocol: type[WebSocketProtocol],
    tls: ssl.SSLContext | None,
    stop: asyncio.Event,
) -> AsyncIterator[None]:
    """Accept connections on ``sockets`` while the body runs; ``stop`` is set if that ends by itself."""
    server = _Server(
        uvicorn.Config(
            app,
            # The parser that bounds a request's head (64 KiB); httptools' reads on for ever.
            http="h11",
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
            ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
        )
    )
    serving = asyncio.create_task(server.serve([*sockets]))
    serving.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@contextmanager
def signals() -> Iterator[asyncio.Event]:
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


async def unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
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
