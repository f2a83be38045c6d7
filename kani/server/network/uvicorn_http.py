"""uvicorn's HTTP protocol with timeouts for heads and bodies of requests, bounded parsing, small reads."""

import asyncio
import sys
from collections.abc import Callable
from functools import partial
from typing import cast

import h11
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from kani.protocols.shared.protocol import BREAK_OFF
from kani.server.network.input_turns import MAX_DROPPED_BYTES, InputFlow, InputTurns, RequestReader
from kani.server.network.tcp_connections import Awaited, TcpConnection

READ_BYTES = 32 * 1024
"""Most bytes of one read.

The event loop's own reads are 256 KiB long. Of each upload in a crowd a piece and its copies wait for a file
to take them, so the length of a piece decides what the crowd costs.
"""


class SmallReads(asyncio.BufferedProtocol):
    """Passes input on to ``protocol``, at most as much at a time as ``buffer`` holds; all else as it comes.

    buffer: may be shared by the connections of one event loop, as each read is passed on before the next.
    """

    def __init__(self, protocol: asyncio.Protocol, buffer: bytearray, first: bytes = b"") -> None:
        """first: input that was read before."""
        self._protocol, self._first = protocol, first
        self._buffer = memoryview(buffer)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._protocol.connection_made(transport)
        if self._first:
            # Once reading has begun: before that uvloop forgets that it is to pause.
            asyncio.get_running_loop().call_soon(self.buffer_updated, 0)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._first = b""
        self._protocol.connection_lost(exc)

    @override
    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    @override
    def eof_received(self) -> bool | None:
        self.buffer_updated(0)
        return self._protocol.eof_received()

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        first, self._first = self._first, b""
        if data := first + bytes(self._buffer[:nbytes]):
            self._protocol.data_received(data)


def restart_reading(transport: asyncio.Transport) -> None:
    """Let ``transport`` read for a protocol of another kind, which it was given while it was reading."""
    # uvloop looks at the kind only when reading starts.
    if transport.is_reading():
        transport.pause_reading()
        transport.resume_reading()


AWAITED = {h11.IDLE: Awaited.HEAD, h11.SEND_BODY: Awaited.BODY}
"""Awaited input by h11's state of the client."""

MAX_REST = 1000
"""Pieces of a body that are parsed after the answer to it. A short rest leaves the connection for the next
request; beyond it the connection ends."""

MAX_REASON = 150
"""Characters of a refusal, which may quote the client."""

DROP_SECONDS = 10.0
"""Time for which input is then dropped unparsed, up to ``MAX_DROPPED_BYTES``."""


class _AnswerTransport:
    """The transport as uvicorn uses it for the answer to a request; ``close`` may be replaced."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close: Callable[[], None] = transport.close


PassOn = Callable[[h11.Request, bytes, asyncio.Transport], bool]
"""Passes a request on to another process, as ``Handover.pass_on``."""


class HttpProtocol(H11Protocol):
    """One connection until it becomes a WebSocket; reports to ``tcp`` the input that its client owes."""

    def __init__(
        self, config: Config, server_state: ServerState, tcp: TcpConnection, pass_on: PassOn | None
    ) -> None:
        super().__init__(config, server_state, app_state={})
        self._tcp = tcp
        self._turns = InputTurns(self.loop, self._go_on)
        self.conn = RequestReader(
            self._turns,
            lambda request, rest: pass_on is not None and pass_on(request, rest, self.transport),
        )
        self._upgraded = False
        self._drop_timer: asyncio.TimerHandle | None = None
        self._dropped = 0
        self._input_flow: InputFlow

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._input_flow = self.flow = InputFlow(transport)
        self._answer_transport = _AnswerTransport(transport)
        self._tcp.attach(transport, transport.abort)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # Both are reference cycles with this connection.
        if self.scope is not None:
            self.scope.pop("extensions", None)
        self._answer_transport.close = self.transport.close
        self._turns.close()
        if self._drop_timer is not None:
            self._drop_timer.cancel()
        self._tcp.closed()

    @override
    def data_received(self, data: bytes) -> None:
        self._tcp.received(len(data))
        if self._drop_timer is None:
            super().data_received(data)
            self._regulate()
            return
        self._dropped += len(data)
        if self._dropped > MAX_DROPPED_BYTES:
            self.transport.abort()

    @override
    def on_response_complete(self) -> None:
        # Also parses what has come of the next request already.
        super().on_response_complete()
        self._regulate()

    @override
    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self._turns.close()
        protocol = cast(Callable[..., asyncio.Protocol], self.ws_protocol_class)
        self.ws_protocol_class = cast(type[asyncio.Protocol], partial(protocol, tcp=self._tcp))
        super().handle_websocket_upgrade(event)
        restart_reading(self.transport)

    @override
    def send_400_response(self, msg: str) -> None:
        """Refuse input that is no HTTP; a request that it belongs to gets no other answer."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(f"{msg} {sys.exception() or ''}"[:MAX_REASON])
        else:
            # The answer has begun.
            self.transport.close()

    def _go_on(self) -> None:
        """Parse the input that had to wait for this turn."""
        if not self.transport.is_closing():
            self.handle_events()
            self._regulate()

    def _regulate(self) -> None:
        """Read on, or wait for the next turn, or drop the rest of a body that has its answer."""
        if self._upgraded or self.transport.is_closing():
            return
        if self._drop_timer is not None:
            self._unset_keepalive_if_required()
            return
        if self.scope is not None:
            # A request that has come is served from the next turn of the event loop on.
            self.scope["extensions"] = {BREAK_OFF: {"call": self._break_off}}
            self._answer_transport.close = self._end_answer
            self.cycle.transport = cast(asyncio.Transport, self._answer_transport)
        awaited = AWAITED.get(self.conn.their_state, Awaited.NOTHING)
        if awaited is Awaited.HEAD and self.scope is not None and not self.conn.trailing_data[0]:
            awaited = Awaited.ANYTHING
        self._tcp.expect(awaited)
        if cast(RequestReader, self.conn).rest > MAX_REST:
            self._drop_rest()
        else:
            self._input_flow.hold(self._turns.waiting)
            cycle = self.cycle
            if cycle is not None and cycle.body and cycle.more_body and not cycle.response_complete:
                # uvicorn reads on when the application asks for more.
                self._input_flow.pause_reading()

    def _end_answer(self) -> None:
        """Close the connection; after a whole answer to a part of the body, drop the rest of it before."""
        if self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY:
            self._drop_rest()
        else:
            self.transport.close()

    def _break_off(self) -> None:
        # uvicorn would report the response as an error of the application.
        self.cycle.disconnected = True
        self.transport.close()

    def _drop_rest(self) -> None:
        """End the output, and drop input until the client ends it too, or time is up."""
        if self._drop_timer is not None:
            return
        self._turns.close()
        self._input_flow.hold(held=False)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self._drop_timer = self.loop.call_later(DROP_SECONDS, self.transport.close)
        else:
            self.transport.close()
