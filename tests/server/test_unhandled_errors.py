"""Unhandled errors as clients, metrics and the log see them, below the real HTTP and WebSocket server."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kani.core import request_ids
from kani.server.lifecycle import accept_connections
from kani.server.middleware import HttpMetricsMiddleware, RequestIdMiddleware, UnhandledErrorMiddleware
from kani.server.network.tcp_connections import TcpTable
from kani.server.network.uvicorn_websocket import WebSocketProtocol
from kani.server.settings import load

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Told(logging.Handler):
    """The errors that are logged, each with the request that it is logged for."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[tuple[str, type[BaseException] | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        kind = record.exc_info[0] if record.exc_info else None
        self.errors.append((request_ids.current(), kind))


class Broken:
    """An application that does ``begun`` and fails, inside the middleware that the server has around it."""

    def __init__(self, *begun: dict[str, Any], error: Exception | None = None) -> None:
        self.told = Told()
        self._error = error or LookupError("the secret")
        self._begun = begun
        self._registry = CollectorRegistry()
        app: ASGIApp = RequestIdMiddleware(UnhandledErrorMiddleware(self._fail))
        self._app = HttpMetricsMiddleware(app, self._registry)

    async def _fail(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in self._begun:
            await send(message)
        raise self._error

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Address without a scheme."""
        with socket.create_server(("127.0.0.1", 0)) as door:
            port = door.getsockname()[1]
            logging.getLogger().addHandler(self.told)
            try:
                stop, table = asyncio.Event(), TcpTable(16, lambda reason: None)
                async with accept_connections(
                    self._app, load({}), [door], WebSocketProtocol, None, stop, table
                ):
                    yield f"127.0.0.1:{port}"
            finally:
                logging.getLogger().removeHandler(self.told)

    def count(self, name: str, code: str) -> float | None:
        """A figure."""
        return self._registry.get_sample_value(name, {"code": code})


async def test_a_request_gets_an_internal_error() -> None:
    broken = Broken()
    async with broken.served() as address, httpx.AsyncClient() as client:
        answer = await client.get(f"http://{address}/path")
    assert (answer.status_code, answer.json()) == (500, {"error": {"message": "internal error"}})
    assert broken.told.errors == [(answer.headers["x-request-id"], LookupError)]
    assert broken.count("kani_http_responses_total", "500") == 1


async def test_an_answer_that_has_begun_is_torn_off() -> None:
    broken = Broken(
        {"type": "http.response.start", "status": 200, "headers": [(b"transfer-encoding", b"chunked")]},
        {"type": "http.response.body", "body": b"half", "more_body": True},
    )
    async with broken.served() as address, httpx.AsyncClient() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://{address}/path")
    assert broken.told.errors[0][1] is LookupError and broken.told.errors[0][0]
    assert broken.count("kani_http_responses_total", "500") == 0


async def test_a_websocket_is_closed_with_1011() -> None:
    broken = Broken({"type": "websocket.accept"})
    async with broken.served() as address, connect(f"ws://{address}/path") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1011, "internal error")
    assert broken.count("kani_websockets_closed_total", "1011") == 1
    ((request, kind),) = broken.told.errors
    assert request and kind is LookupError


async def test_little_memory_is_told_to_be_tried_again() -> None:
    async with Broken(error=MemoryError()).served() as address, httpx.AsyncClient() as client:
        answer = await client.get(f"http://{address}/path")
    assert answer.status_code == 503 and "too little memory" in answer.json()["error"]["message"]
    broken = Broken({"type": "websocket.accept"}, error=MemoryError())
    async with broken.served() as address, connect(f"ws://{address}/path") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013


async def test_a_handshake_gets_an_internal_error() -> None:
    broken = Broken()
    async with broken.served() as address:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"ws://{address}/path")
    response = refused.value.response
    assert response.status_code == 500 and b"secret" not in (response.body or b"")
    assert broken.told.errors == [(response.headers["x-request-id"], LookupError)]
    assert broken.count("kani_http_responses_total", "500") == 1


async def test_nothing_is_said_behind_a_close() -> None:
    broken = Broken({"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000})
    async with broken.served() as address, connect(f"ws://{address}/path") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1000
    assert [kind for _, kind in broken.told.errors] == [LookupError]
