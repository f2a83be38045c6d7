"""The connections of a running server: counted, bounded, and closed with 1001 when it stops.

A dialect knows nothing of this. To it, a connection that the server closes looks like a client
that has gone: ``receive`` tells it, ``send`` raises WebSocketDisconnect. One that is stuck, as its
client doesn't read, is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from server.network.upload_budget import UploadBudget, UploadBudgetFull, UploadShare

log = logging.getLogger("server")

GOING_AWAY = 1001
ABNORMAL_CLOSURE = 1006
"""Abnormal closure (RFC 6455, 7.4.1): no close frame came."""


class Phase(Enum):
    """What a server does with those who come."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class _Connection:
    """One WebSocket, between the server and the dialect that speaks on it."""

    __slots__ = ("_disconnects", "_receive", "_send", "accepted", "closed")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._disconnects = 0
        self.accepted = False
        self.closed = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._disconnects += 1
        return message

    async def send(self, message: Message) -> None:
        if self.closed:
            raise WebSocketDisconnect(ABNORMAL_CLOSURE)
        if message["type"] == "websocket.accept":
            self.accepted = True
        elif message["type"] == "websocket.close":
            self.closed = True
        try:
            await self._send(message)
        except OSError as error:
            if message["type"] != "websocket.send":
                raise
            # Starlette would raise it once, then RuntimeError: a dialect may have several tasks that send.
            raise WebSocketDisconnect(ABNORMAL_CLOSURE) from error

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, unless someone else has said it or is gone."""
        if self.accepted and not self.closed:
            self.closed = True
            with suppress(OSError):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def gone(self) -> None:
        """Return once the peer has answered our goodbye, or has left without a word.

        uvicorn tells of a disconnect twice: when the close is sent and when the socket is closed.
        """
        while self._disconnects < 2:
            await self.receive()


class Connections:
    """Every open WebSocket of one server, and the phase the server is in.

    limit: how many may be open at once; changed: told the number whenever it changes; stall_s: how long
    a client may take nothing of an HTTP answer.
    """

    def __init__(self, limit: int, on_change: Callable[[int], None], write_timeout_s: float) -> None:
        self.limit = limit
        self._stall_s = write_timeout_s
        self.phase = Phase.STARTING
        self._changed = on_change
        self._open: set[_Connection] = set()
        self._visits: set[asyncio.Timeout] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()

    def __len__(self) -> int:
        return len(self._open)

    async def serve_websocket(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let ``app`` speak on one WebSocket, which ``close_all`` may end."""
        connection = _Connection(receive, send)
        self._open.add(connection)
        self._changed(len(self._open))
        try:
            async with self._visit():
                await app(scope, connection.receive, connection.send)
                if self.phase is Phase.DRAINING and connection.closed:
                    await connection.gone()
        finally:
            self._open.discard(connection)
            self._changed(len(self._open))

    async def serve_request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let ``app`` answer one HTTP request, which ``close_all`` may end.

        It is ended, too, where its client takes nothing of its answer for ``stall_s`` seconds.
        """
        now = asyncio.get_running_loop().time
        patience = asyncio.timeout(None)

        async def patient_send(message: Message) -> None:
            patience.reschedule(now() + self._stall_s)
            await send(message)
            patience.reschedule(None)

        async with self._visit():
            try:
                async with patience:
                    await app(scope, receive, patient_send)
            except TimeoutError:
                if not patience.expired():
                    raise
                log.info("a client took nothing of its answer for %g s", self._stall_s)

    @asynccontextmanager
    async def _visit(self) -> AsyncIterator[None]:
        self._nobody.clear()
        visit = asyncio.timeout(None)
        self._visits.add(visit)
        try:
            async with visit:
                yield
        except TimeoutError:
            if not visit.expired():
                raise
        finally:
            self._visits.discard(visit)
            if not self._visits:
                self._nobody.set()

    async def close_all(self, patience_s: float) -> None:
        """Close every WebSocket with 1001, and cancel what is still here ``patience_s`` later."""
        self.phase = Phase.DRAINING
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s), asyncio.TaskGroup() as group:
                for connection in self._open:
                    group.create_task(connection.close(GOING_AWAY, "the server is stopping"))
                await self._nobody.wait()
        for visit in self._visits:
            visit.reschedule(0.0)
        await self._nobody.wait()


class ConnectionsMiddleware:
    """Turns away who comes before the server is ready, while it stops, or when it is full.

    The paths in ``always`` are served in any phase. HTTP bodies beyond ``max_body`` bytes end in
    413, whether their length was told or not; those for which ``intake`` has no room in 503.
    """

    def __init__(
        self,
        app: ASGIApp,
        connections: Connections,
        exempt_paths: frozenset[str],
        max_body: int,
        upload_budget: UploadBudget,
    ) -> None:
        self._app = app
        self._connections = connections
        self._always = exempt_paths
        self._max_body = max_body
        self._intake = upload_budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one HTTP request or one WebSocket."""
        connections = self._connections
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._always:
            await self._app(scope, receive, send)
        elif connections.phase is not Phase.READY:
            await _unavailable(f"the server is {connections.phase.value}")(scope, receive, send)
        elif scope["type"] == "http":
            with self._intake.share() as share:
                bounded = _bounded(receive, self._max_body, share)
                await connections.serve_request(self._app, scope, bounded, send)
        elif len(connections) >= connections.limit:
            await _unavailable(f"too many connections (at most {connections.limit})")(scope, receive, send)
        else:
            await connections.serve_websocket(self._app, scope, receive, send)


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"error": {"message": reason}}, 503, {"retry-after": "1"})


def _bounded(receive: Receive, limit: int, share: UploadShare) -> Receive:
    """``receive``, with HTTPException for a body beyond ``limit``, or beyond what ``share`` may hold."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, f"the body is too large (at most {limit} bytes)")
        try:
            share.resize(taken if message.get("more_body", False) else 0)
        except UploadBudgetFull as error:
            raise HTTPException(503, str(error), {"retry-after": "1"}) from error
        return message

    return bounded
