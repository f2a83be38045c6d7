"""Metrics of the connections: bytes, HTTP answers, close codes of WebSockets, and the event loop's lag."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from kani.server import lifecycle
from kani.server.middleware import HttpMetricsMiddleware

Messages = list[dict[str, Any]]


class Door:
    """A middleware around an application, and what it counted."""

    def __init__(self, app: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._registry = CollectorRegistry()
        self._door = HttpMetricsMiddleware(app, self._registry)

    async def pass_through(self, kind: str, incoming: Messages) -> Messages:
        """Let ``incoming`` in; what came out."""
        waiting, sent = iter(incoming), []

        async def receive() -> Any:
            return next(waiting)

        async def send(message: Any) -> None:
            sent.append(message)

        await self._door({"type": kind, "path": "/"}, receive, send)
        return sent

    def count(self, name: str, **labels: str) -> float | None:
        """A figure."""
        return self._registry.get_sample_value(name, labels)


async def test_bytes_are_those_on_the_wire() -> None:
    came: Messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "¡Olé!"},
        {"type": "websocket.receive", "text": "\ud800"},
        {"type": "websocket.receive", "bytes": b"1234", "text": None},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    seen: Messages = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await receive())
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "bytes": bytes(1000)})
        await send({"type": "websocket.send", "text": "ñ"})
        seen.extend([await receive() for _ in came[1:]])

    door = Door(app)
    sent = await door.pass_through("websocket", came)
    assert seen == came and [message["type"] for message in sent][1:] == ["websocket.send"] * 2
    assert door.count("kani_received_bytes_total", transport="websocket") == 7 + 3 + 4
    assert door.count("kani_sent_bytes_total", transport="websocket") == 1002
    assert door.count("kani_received_bytes_total", transport="http") == 0
    assert door.count("kani_websockets_closed_total", code="1000") == 1


@pytest.mark.parametrize(("code", "counted"), [(1009, "1009"), (4321, "other"), (1006, "1006")])
async def test_a_client_cannot_make_up_labels(code: int, counted: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await receive()

    door = Door(app)
    await door.pass_through("websocket", [{"type": "websocket.disconnect", "code": code}])
    assert door.count("kani_websockets_closed_total", code=counted) == 1
    assert (door.count("kani_websockets_closed_total", code=str(code)) is None) == (counted == "other")


async def test_a_close_of_ours_is_counted_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1001})
        await receive()

    door = Door(app)
    await door.pass_through("websocket", [{"type": "websocket.disconnect", "code": 1001}])
    assert door.count("kani_websockets_closed_total", code="1001") == 1


async def test_a_protocol_that_breaks_is_an_abnormal_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise LookupError

    door = Door(app)
    with pytest.raises(LookupError):
        await door.pass_through("websocket", [])
    assert door.count("kani_websockets_closed_total", code="1006") == 1


async def test_a_refused_handshake_is_an_http_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"hello"})
            return
        await send({"type": "websocket.http.response.start", "status": 401})
        await send({"type": "websocket.http.response.body", "body": b"no"})

    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1000})

    door, other = Door(app), Door(refusing)
    await door.pass_through("websocket", [])
    before = door.count("kani_http_responses_total", code="200")
    await door.pass_through("http", [])
    await other.pass_through("websocket", [])
    assert before == 0 and door.count("kani_http_responses_total", code="401") == 1
    assert door.count("kani_http_responses_total", code="200") == 1
    assert door.count("kani_sent_bytes_total", transport="http") == 5
    assert door.count("kani_sent_bytes_total", transport="websocket") == 2
    assert other.count("kani_http_responses_total", code="403") == 1


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
