"""Counts and bounds the connections of a running server, and closes them with 1001 when it stops.

Protocols are unaware of this. To them, a connection that the server closes looks like a client that has
disconnected: ``receive`` returns the disconnect message, ``send`` raises WebSocketDisconnect. A protocol that
is blocked, because its client does not read, is cancelled.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from kani.core.errors import Busy
from kani.core.session.budget import Budget, Share
from kani.core.shared_numbers import Number
from kani.protocols.shared.protocol import STRAIGHT_SEND, break_off
from kani.server.network.handover import is_owned
from kani.server.network.upload_budget import FREE_BYTES

log = logging.getLogger("server")

GOING_AWAY = 1001
ABNORMAL_CLOSURE = 1006
"""Abnormal closure (RFC 6455, 7.4.1): no close frame came."""


LOST = "lost"
"""Entry of a WebSocket's ``scope["state"]``: the function that is called when the connection is lost."""

LOST_S = 1.0
"""Time in which a protocol learns of that itself. One that waits for something else is cancelled."""

BODY_BYTES = 256 * 2**20
"""Bytes of all bodies that are complete and not answered: they hold recordings of voices, which wait."""


class Phase(Enum):
    """State of a server; only READY admits requests beyond the exempt paths."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class _Connection:
    """One WebSocket, between uvicorn and its protocol."""

    __slots__ = (
        *("_close_sent", "_disconnects", "_receive", "_send", "_send_straight", "accepted", "closed", "told"),
    )

    def __init__(self, receive: Receive, send: Send, send_straight: Send) -> None:
        """send_straight: see ``STRAIGHT_SEND``."""
        self._receive = receive
        self._send = send
        self._send_straight = send_straight
        self._disconnects = 0
        self._close_sent = False
        self.accepted = False
        self.closed = False
        self.told = False  # the protocol knows that its client has gone

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._disconnects += 1
            self.told = True
        return message

    async def send(self, message: Message) -> None:
        if self.closed:
            raise WebSocketDisconnect(ABNORMAL_CLOSURE)
        if message["type"] != "websocket.send":
            self.accepted |= message["type"] == "websocket.accept"
            self.closed = message["type"] == "websocket.close"
            await self._send(message)
            self._close_sent = self.closed
            return
        try:
            await self._send_straight(message)
        except (OSError, RuntimeError) as error:
            # Starlette raises it once and then RuntimeError, but several tasks of a protocol may send. And
            # uvicorn has a RuntimeError if the client left while it was accepted.
            self.told = True
            raise WebSocketDisconnect(ABNORMAL_CLOSURE) from error

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, unless one is sent already.

        The protocol's own waits until its client has read what was sent before.
        """
        if self.accepted and not self._close_sent:
            self.closed = self._close_sent = True
            with suppress(OSError, RuntimeError):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def wait_closed(self) -> None:
        """Return once the client has answered the close frame or has left without an answer.

        uvicorn reports a disconnect twice: when the close frame is sent and when the socket is closed.
        """
        while self._disconnects < 2:
            await self.receive()


class Connections:
    """Open WebSockets and HTTP requests of one server, and its phase.

    limit: WebSockets open at once; on_change: called with their number when it changes; write_timeout_s:
    longest time that a client may read nothing of an HTTP response (seconds).
    """

    def __init__(self, limit: int, on_change: Callable[[int], None], write_timeout_s: float) -> None:
        self.limit = limit
        self._write_timeout_s = write_timeout_s
        self.phase = Phase.STARTING
        self._changed = on_change
        self._open: set[_Connection] = set()
        self._count = Number("open WebSockets")
        self._streams: set[Callable[[], None]] = set()
        self._served: set[asyncio.Timeout] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return int(self._count.total)

    async def serve_websocket(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket by ``app``; ``close_all`` may end it.

        So does ``scope["state"][LOST]``, to be called when its connection is lost, if ``app`` neither reads
        nor writes.
        """
        loop, state = asyncio.get_running_loop(), scope.get("state", {})
        connection = _Connection(receive, send, state.get(STRAIGHT_SEND, send))
        self._open.add(connection)
        self._change()
        try:
            async with self._serving() as served:

                def end() -> None:
                    if served in self._served and not (connection.told or served.expired()):
                        served.reschedule(0.0)

                state |= {LOST: partial(loop.call_later, LOST_S, end), STRAIGHT_SEND: connection.send}
                await app(scope, connection.receive, connection.send)
                if self.phase is Phase.DRAINING and connection.closed:
                    await connection.wait_closed()
        finally:
            # Cycles: they refer to the connection, and that to the scope.
            state.pop(LOST, None)
            state.pop(STRAIGHT_SEND, None)
            self._open.discard(connection)
            self._change()

    def _change(self) -> None:
        self._count.own = len(self._open)
        self._changed(len(self._open))

    async def serve_request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request by ``app``; ``close_all`` and the write timeout may end it."""
        now = asyncio.get_running_loop().time
        write_timeout = asyncio.timeout(None)
        begun = complete = False

        async def timed_send(message: Message) -> None:
            nonlocal begun, complete
            begun = True
            write_timeout.reschedule(now() + self._write_timeout_s)
            await send(message)
            write_timeout.reschedule(None)
            complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        async with self._serving():
            try:
                async with write_timeout:
                    await app(scope, receive, timed_send)
            except TimeoutError:
                if not write_timeout.expired():
                    raise
                log.info("write timeout: response unread for %g s", self._write_timeout_s)
        if begun and not complete:
            break_off(scope)
        elif not begun and self.phase is Phase.DRAINING:
            await unavailable("the server is stopping")(scope, receive, send)

    async def serve_stream(self, serving: Awaitable[None], end: Callable[[], None]) -> None:
        """Serve one connection without HTTP; end: called by ``close_all``, ends its input."""
        self._streams.add(end)
        try:
            async with self._serving():
                await serving
        finally:
            self._streams.discard(end)

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[asyncio.Timeout]:
        self._idle.clear()
        served = asyncio.timeout(None)
        self._served.add(served)
        try:
            async with served:
                yield served
        except TimeoutError:
            if not served.expired():
                raise
        finally:
            self._served.discard(served)
            if not self._served:
                self._idle.set()

    async def close_all(self, timeout_s: float) -> None:
        """Close every WebSocket with 1001, end every stream, and cancel what is served after that.

        timeout_s: seconds until then.
        """
        self.phase = Phase.DRAINING
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
                for end in self._streams:
                    end()
                for connection in self._open:
                    group.create_task(connection.close(GOING_AWAY, "the server is stopping"))
                await self._idle.wait()
        for served in self._served:
            served.reschedule(0.0)
        await self._idle.wait()


@dataclass(eq=False)
class ConnectionsMiddleware:
    """Refuses connections before the server is ready, while it stops, and when it is full."""

    app: ASGIApp
    connections: Connections
    exempt_paths: frozenset[str]  # HTTP that is served in any phase
    max_body: int  # longest HTTP body (bytes); a longer one gets 413, with or without Content-Length
    upload_budget: Budget  # a body for which it has no room is answered with 503
    longer_bodies: Mapping[str, int]
    """Longest body by path, of routes that keep it on disk and so need no room in the budget."""
    body_budget: Budget = field(
        default_factory=lambda: Budget(BODY_BYTES, "too many long requests are waiting", free=FREE_BYTES)
    )
    """Of bodies that are complete, until the answer begins."""

    not_served: tuple[str, ...] = ()  # see ``Protocol.one_process``
    refusal: JSONResponse | None = None  # the answer to them; None if they are served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connections = self.connections
        exempt = scope["type"] == "http" and scope["path"] in self.exempt_paths
        if exempt or scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif connections.phase is not Phase.READY:
            await unavailable(f"the server is {connections.phase.value}")(scope, receive, send)
        elif self.refusal is not None and is_owned(_call(scope), self.not_served):
            await self.refusal(scope, receive, send)
        elif scope["type"] == "http":
            with self.upload_budget.share() as share, self.body_budget.share() as whole:
                longer = self.longer_bodies.get(scope["path"])
                kept = (share, whole) if longer is None else None
                bounded = _bounded(receive, longer or self.max_body, kept)

                async def answer(message: Message) -> None:
                    whole.resize(0)
                    await send(message)

                await connections.serve_request(self.app, scope, bounded, answer)
        elif len(connections) >= connections.limit:
            await unavailable(f"too many connections (at most {connections.limit})")(scope, receive, send)
        else:
            await connections.serve_websocket(self.app, scope, receive, send)


def _call(scope: Scope) -> tuple[str, str, str]:
    return scope.get("method", ""), scope["path"], scope["query_string"].decode("ascii", "replace")


def unavailable(reason: str) -> JSONResponse:
    """Return the answer to a request that may be repeated."""
    return JSONResponse({"error": {"message": reason}}, 503, {"retry-after": "1"})


def _bounded(receive: Receive, limit: int, shares: tuple[Share, Share] | None) -> Receive:
    """Return ``receive`` with HTTPException for a body beyond ``limit`` bytes, or without room.

    shares: of unfinished bodies, and of complete ones.
    """
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, f"the body is too large (at most {limit} bytes)")
        try:
            if shares is not None and message["type"] == "http.request":
                more = message.get("more_body", False)
                for share, begun in zip(shares, (more, not more), strict=True):
                    share.resize(received if begun else 0)
        except Busy as error:
            raise HTTPException(503, str(error), {"retry-after": "1"}) from error
        return message

    return bounded
