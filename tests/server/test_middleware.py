"""The layers around the protocols: metrics, unhandled errors, and disconnections."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kani.core import request_ids
from kani.core.session.budget import Budget
from kani.server import lifecycle
from kani.server.connections import Connections, ConnectionsMiddleware, Phase
from kani.server.middleware import HttpMetricsMiddleware, ResponseHeadersMiddleware, UnhandledErrorMiddleware
from kani.server.network.upload_budget import upload_budget
from tests.support.patience import happens
from tests.support.servers.asgi import closing, exchange, served

ACCEPT = {"type": "websocket.accept"}
CLOSED = "kani_websockets_closed_total"
RESPONSES = "kani_http_responses_total"


def closed(code: int) -> Message:
    return {"type": "websocket.close", "code": code}


class Door:
    """A middleware around an application, and what it counted."""

    def __init__(self, app: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._registry = CollectorRegistry()
        self._door = HttpMetricsMiddleware(app, self._registry)

    async def pass_through(self, kind: str, *incoming: Message) -> list[Message]:
        return await exchange(self._door, {"type": kind, "path": "/"}, *incoming)

    def count(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(name, labels)


async def test_bytes_are_those_on_the_wire() -> None:
    came: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "¡Olé!"},
        {"type": "websocket.receive", "text": "\ud800"},
        {"type": "websocket.receive", "bytes": b"1234", "text": None},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    seen: list[Message] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        await send(ACCEPT)
        await send({"type": "websocket.send", "bytes": bytes(1000)})
        await send({"type": "websocket.send", "text": "ñ"})
        seen.extend([await receive() for _ in came[1:]])

    door = Door(app)
    sent = await door.pass_through("websocket", *came)
    assert seen == came and [message["type"] for message in sent][1:] == ["websocket.send"] * 2
    assert door.count("kani_received_bytes_total", transport="websocket") == 7 + 3 + 4
    assert door.count("kani_sent_bytes_total", transport="websocket") == 1002
    assert door.count("kani_received_bytes_total", transport="http") == 0
    assert door.count(CLOSED, code="1000") == 1


@pytest.mark.parametrize(
    ("sent", "code", "counted"),
    [
        *(([ACCEPT], code, str(code)) for code in (1009, 1006)),
        ([ACCEPT], 4321, "other"),  # a client cannot make up labels
        ([ACCEPT, closed(1001)], 1001, "1001"),
    ],
)
async def test_each_close_is_counted_once(sent: list[Message], code: int, counted: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)
        await receive()

    door = Door(app)
    await door.pass_through("websocket", {"type": "websocket.disconnect", "code": code})
    assert door.count(CLOSED, code=counted) == 1
    assert (door.count(CLOSED, code=str(code)) is None) == (counted == "other")


async def test_a_protocol_that_breaks_is_an_abnormal_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(ACCEPT)
        raise LookupError

    door = Door(app)
    with pytest.raises(LookupError):
        await door.pass_through("websocket")
    assert door.count(CLOSED, code="1006") == 1


async def test_a_refused_handshake_is_an_http_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"hello"})
            return
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send(closed(1000))

    door, other = Door(app), Door(refusing)
    await door.pass_through("websocket")
    before = door.count(RESPONSES, code="200")
    await door.pass_through("http")
    await other.pass_through("websocket")
    assert before == 0 and door.count(RESPONSES, code="401") == 1
    assert door.count(RESPONSES, code="200") == 1
    assert door.count("kani_sent_bytes_total", transport="http") == 5
    assert door.count("kani_sent_bytes_total", transport="websocket") == 2
    assert other.count(RESPONSES, code="403") == 1


async def test_busy_loop_is_measured() -> None:
    lags: list[float] = []
    seen = asyncio.Event()

    def observe(seconds: float) -> None:
        lags.append(seconds)
        seen.set()

    with lifecycle.watch_loop_lag(observe):
        await seen.wait()
        seen.clear()
        until = time.perf_counter() + 0.3
        while time.perf_counter() < until:
            pass
        await seen.wait()
    # The loop was busy for three of its timers at least.
    assert min(lags) >= 0 and max(lags) > 0.15
    before = len(lags)
    await asyncio.to_thread(threading.Event().wait, 2 * lifecycle.LAG_INTERVAL_S)
    assert len(lags) == before


class Told(logging.Handler):
    """The errors that are logged, each with the request that it is logged for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[tuple[str, type[BaseException] | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        self.errors.append((request_ids.current(), kind))


class Broken(Door):
    """An application that does ``begun`` and fails, inside the middleware that the server has around it."""

    def __init__(self, *begun: Message, error: Exception | None = None) -> None:
        super().__init__(ResponseHeadersMiddleware(UnhandledErrorMiddleware(self._fail)))
        self.told = Told()
        self._error = error or LookupError("the secret")
        self._begun = begun

    async def _fail(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in self._begun:
            await send(message)
        raise self._error

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Address without a scheme."""
        logging.getLogger().addHandler(self.told)
        try:
            async with served(self._door) as port:
                yield f"127.0.0.1:{port}"
        finally:
            logging.getLogger().removeHandler(self.told)


async def test_a_request_and_a_handshake_get_an_internal_error() -> None:
    broken = Broken()
    async with broken.served() as address, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://{address}/path")
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/path")
    response = refused.value.response
    assert (answer.status_code, answer.json()) == (500, {"error": {"message": "internal error"}})
    assert response.status_code == 500 and b"secret" not in (response.body or b"")
    ids = [each.headers["x-request-id"] for each in (answer, response)]
    assert broken.told.errors == [(request, LookupError) for request in ids]
    assert broken.count(RESPONSES, code="500") == 2
    async with Broken(error=MemoryError()).served() as address, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://{address}/path")
    assert answer.status_code == 503 and "too little memory" in answer.json()["error"]["message"]


async def test_an_answer_that_has_begun_is_torn_off() -> None:
    broken = Broken(
        {"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]},
        {"type": "http.response.body", "body": b"half", "more_body": True},
    )
    async with broken.served() as address, httpx2.AsyncClient() as client:
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(f"http://{address}/path")
    assert broken.told.errors[0][1] is LookupError and broken.told.errors[0][0]
    assert broken.count(RESPONSES, code="500") == 0


@pytest.mark.parametrize(
    ("begun", "error", "code", "reason"),
    [
        ([ACCEPT], LookupError("the secret"), 1011, "internal error"),
        ([ACCEPT], MemoryError(), 1013, "this server has too little memory for it now"),
        # Nothing is said after a close.
        ([ACCEPT, closed(1000)], LookupError("the secret"), 1000, ""),
    ],
)
async def test_a_websocket_is_closed(begun: list[Message], error: Exception, code: int, reason: str) -> None:
    broken = Broken(*begun, error=error)
    async with broken.served() as address, connect(f"ws://{address}/path") as client:
        assert await closing(client) == (code, reason)
    assert broken.count(CLOSED, code=str(code)) == 1
    ((request, kind),) = broken.told.errors
    assert request and kind is type(error)


WEBSOCKET = {"type": "websocket", "path": "/"}


def connections(phase: Phase) -> Connections:
    made = Connections(1, lambda count: None, 20.0)
    made.phase = phase
    return made


@pytest.mark.parametrize("error", [ClientDisconnected, RuntimeError("Expected 'websocket.accept'")])
async def test_every_sending_task_gets_the_disconnect(error: Exception) -> None:
    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise error

    async def dialect(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        for _ in range(2):
            with pytest.raises(WebSocketDisconnect):
                await socket.send_text("too late")

    await connections(Phase.READY).serve_websocket(dialect, WEBSOCKET, receive, send)


async def test_stopping_server_waits_until_the_client_has_answered_its_close_frame() -> None:
    """uvicorn reports a disconnect when the close frame is sent, and again when the socket is closed."""
    disconnect = {"type": "websocket.disconnect", "code": 1001}
    received: asyncio.Queue[Message] = asyncio.Queue()
    received.put_nowait({"type": "websocket.connect"})
    waited = 0

    async def receive() -> Message:
        nonlocal waited
        if received.empty():
            waited += 1
            received.put_nowait(disconnect)  # the answer comes only once it is waited for
        return await received.get()

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            received.put_nowait(disconnect)

    async def protocol(scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await socket.close(1001)

    await connections(Phase.DRAINING).serve_websocket(protocol, WEBSOCKET, receive, send)
    assert waited == 1


async def test_long_bodies_count_until_they_are_answered() -> None:
    held, answered = asyncio.Event(), list[int]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        answered.append(budget.used)
        await held.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        answered.append(budget.used)

    budget = Budget(1000, "too many", free=10)
    budget.small = 0
    middleware = ConnectionsMiddleware(
        app, connections(Phase.READY), frozenset(), 2000, upload_budget(), {}, budget
    )
    scope = {"type": "http", "path": "/", "headers": []}
    body = {"type": "http.request", "body": bytes(910), "more_body": False}
    waiting = asyncio.create_task(exchange(middleware, scope, body))
    await happens(lambda: answered)
    with pytest.raises(HTTPException) as refused:
        await exchange(middleware, scope, body)
    assert (refused.value.status_code, refused.value.detail) == (503, "too many: try again later")
    held.set()
    await waiting
    assert answered == [900, 0] and budget.used == 0


async def test_while_the_server_starts_only_the_page_is_served() -> None:
    """The page's path is a WebSocket's, too."""
    reached: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(f"{scope['type']} {scope['path']}")

    starting = connections(Phase.STARTING)
    middleware = ConnectionsMiddleware(app, starting, frozenset({"/"}), 100, upload_budget(), {})
    for kind, path in (("http", "/"), ("websocket", "/"), ("http", "/v1/models")):
        scope = {"type": kind, "path": path, "headers": []}
        sent = await exchange(middleware, scope, {"type": "http.request"})
        statuses = [message["status"] for message in sent if "status" in message]
        assert statuses == [503] * (f"{kind} {path}" not in reached)
    assert reached == ["http /"]
