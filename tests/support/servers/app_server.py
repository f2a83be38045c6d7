"""The application in a thread of this process: for tests of its protocols that need no process of its own."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from kani.composition.settings import Settings, load
from kani.composition.speech_service import build_service
from kani.core.service import SpeechService
from kani.protocols.openai.realtime.client_events import MAX_MESSAGE_BYTES as REALTIME_BYTES
from kani.protocols.shared.protocol import UNREAD_S
from kani.server.app import Parts, create_app, protocols_for
from kani.server.connections import Connections, Phase
from kani.server.health import StartTime
from kani.server.metrics import Metrics
from tests.support.patience import WITHIN_S
from tests.support.servers.address import Addressed

KEY = "geheim-1"
THREAD = "app server"


@dataclass(frozen=True)
class AppServer(Addressed):
    port: int
    folder: Path  # of its data and logs
    service: SpeechService
    connections: Connections
    loop: asyncio.AbstractEventLoop  # in which all of it runs


StartApp = Callable[..., AppServer]


def application(folder: Path, service: SpeechService) -> Starlette:
    """The whole application, ready, with default settings over a service of a test's."""
    settings, metrics = load({}, {"KANI_DATA_DIR": str(folder / "data")}, folder / "none"), Metrics("test")
    connections = Connections(settings.max_connections, metrics.connections.set, UNREAD_S)
    connections.phase = Phase.READY
    return create_app(Parts(settings, protocols_for(settings), service, metrics, connections))


class _Tracebacks(logging.Handler):
    """Keeps the exceptions that the servers log."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Other tests of this process provoke errors of their own.
        if record.exc_info and record.threadName == THREAD:
            self.found.append(record)


@contextmanager
def app_server(folder: Path, **environment: str) -> Iterator[AppServer]:
    """Serve on a free port, only by espeak-ng unless KANI_ENGINE names another engine.

    When it ends no session is left, and no traceback was logged.
    """
    outside = {"KANI_ENGINE": "espeak", "KANI_RECOGNIZER": "none", "KANI_DATA_DIR": str(folder / "data")}
    settings = load({}, outside | environment, folder / "none")
    metrics = Metrics("test")
    service = build_service(settings, metrics, metrics.registry)
    connections = Connections(settings.max_connections, metrics.connections.set, UNREAD_S)
    start = StartTime(settings.cache_dir, settings.engine)
    parts = Parts(settings, protocols_for(settings), service, metrics, connections, start=start)
    connections.phase = Phase.READY
    tracebacks = _Tracebacks()
    logging.getLogger().addHandler(tracebacks)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # As the server's own: without it each answer in two parts waits 40 ms for the client's system.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with _running(create_app(parts), settings, service, listener) as loop:
                yield AppServer(listener.getsockname()[1], folder, service, connections, loop)
    finally:
        logging.getLogger().removeHandler(tracebacks)
    assert not tracebacks.found, tracebacks.found
    assert service.state().sessions == 0


@contextmanager
def _running(
    app: object, settings: Settings, service: SpeechService, listener: socket.socket
) -> Iterator[asyncio.AbstractEventLoop]:
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        ws="websockets-sansio",
        ws_max_size=REALTIME_BYTES,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    ready: Future[asyncio.AbstractEventLoop] = Future()

    async def serve() -> None:
        await service.start()
        ready.set_result(asyncio.get_running_loop())
        await server.serve([listener])
        await service.stop()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name=THREAD)
    thread.start()
    try:
        while not ready.done():
            wait([ready], 0.1)
            assert thread.is_alive(), "the service did not start"
        yield ready.result()
    finally:
        server.should_exit = True
        thread.join(WITHIN_S)
        assert not thread.is_alive()


@contextmanager
def app_starter(folder: Callable[[], Path]) -> Iterator[StartApp]:
    """Start servers by their settings: ``start_app(KANI_MAX_TEXT="50")``; all end with the context."""
    with ExitStack() as running:
        yield lambda **environment: running.enter_context(app_server(folder(), **environment))
