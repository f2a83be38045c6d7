"""uvicorn's WebSocket protocol with limits per path, bounded memory and an answer to every handshake."""

import asyncio
from asyncio import BaseTransport
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from typing_extensions import override
from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from kani.core.errors import Busy
from kani.core.session.budget import Budget
from kani.server.connections import LOST
from kani.server.network.input_turns import MAX_DROPPED_BYTES, FrameReader, InputTurns, Rests
from kani.server.network.tcp_connections import Awaited, TcpConnection
from kani.server.network.upload_budget import FREE_BYTES, UNAUTHENTICATED, upload_budget

BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
MAX_FRAGMENTS = 65_536

MAX_CONTROL_FRAMES = 1000
CONTROL_PERIOD_S = 10.0
"""Most pings, pongs and empty fragments of one client in a period. Clients ping every few seconds."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket.

    A message that is longer than its path allows, or has more than ``MAX_FRAGMENTS`` fragments, closes the
    connection with 1009 before more of it is buffered; one for which the upload budget has no room with 1013,
    a long one that stalls with 1008, as do more than ``MAX_CONTROL_FRAMES`` frames without content. A message
    counts until the application asks for the next; until then little more than ``FREE_BYTES`` of that is
    read. A turn of the event loop parses a bounded number of frames, none before the handshake is answered,
    and gives the application one message; where more wait, it rests in between (``Rests``).
    """

    max_message_bytes: ClassVar[Mapping[str, int]] = {}  # by path; ``ws_max_size`` bounds all other paths
    root_paths: ClassVar[Mapping[int, str]] = {}  # path that `/` stands for, by local port
    upload_budget: ClassVar[Budget] = upload_budget()

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, tcp: TcpConnection
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._tcp = tcp
        self._share = self.upload_budget.open()
        self._fragments = 0
        self._sizes: deque[int] = deque()  # of the messages that wait for the application, in bytes
        self._given = 0  # bytes of the message that the application has
        self._asked = False  # the application waits for a message
        self._state: Mapping[str, Any] = {}  # of the application
        self._begun = False  # a message was complete
        self._control_frames = 0
        self._period_ends = 0.0
        self._turns = InputTurns(self.loop, self._go_on)
        self._rests = Rests()
        self._held = False  # frames that have come wait for a later turn
        self._dropped = 0
        self.conn.parser.close()
        self.conn.reader = FrameReader(self._may_parse)
        self.conn.parser = self.conn.parse()
        next(self.conn.parser)

    @override
    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._tcp.attach(self.transport, self._stalled, self._probe)
        self._tcp.expect(Awaited.NOTHING)

    @override
    def handle_connect(self, event: Request) -> None:
        # uvicorn passes the handshake on before it parses any frame.
        path, mark, query = event.path.partition("?")
        root = self.root_paths.get(self.server[1] or 0) if self.server is not None else None
        if path == "/" and root is not None:
            path = root
            event.path = path + mark + query
        path = unquote(path)
        self.conn.max_message_size = self.max_message_bytes.get(path, self.config.ws_max_size)
        super().handle_connect(event)
        if not self.close_sent:
            self._state = self.scope["state"]

    @override
    def handle_text(self, event: Frame) -> None:
        super().handle_text(event)
        self._fragments = sum(map(len, self.frames))

    @override
    def handle_bytes(self, event: Frame) -> None:
        super().handle_bytes(event)
        self._fragments = sum(map(len, self.frames))

    @override
    def handle_cont(self, event: Frame) -> None:
        # An empty fragment adds nothing to a message's length, but takes memory.
        if self.close_sent:
            return
        if not event.data:
            self._count_control_frame()
        if len(self.frames) == MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"more than {MAX_FRAGMENTS} fragments")
            return
        super().handle_cont(event)
        self._fragments = self._fragments + len(event.data) if self.frames else 0

    @override
    def send_receive_event_to_app(self) -> None:
        if not self.close_sent:
            self._sizes.append(sum(map(len, self.frames)))
        super().send_receive_event_to_app()
        self._begun = True

    @override
    def handle_ping(self) -> None:
        self._count_control_frame()
        if self.close_sent:
            return
        # Pongs to a client that does not read would pile up; it may be answered for its latest ping only
        # (RFC 6455, 5.5.3).
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    @override
    def handle_pong(self, event: Frame) -> None:
        super().handle_pong(event)
        self._count_control_frame()

    @override
    def handle_parser_exception(self) -> None:
        """Tell the application and the client why the connection ends, and drop what the client still sends.

        Closing at once would reset the connection, and the client might never read the reason.
        """
        if self.close_sent:
            return
        assert self.conn.close_sent is not None
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        # TLS has no end of one direction.
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        else:
            self.transport.close()

    @override
    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        # Closing waits until the client has read what was sent, which it may never do.
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        # The parser and its connection are a reference cycle, which holds the last message.
        super().connection_lost(exc)
        self.conn.parser.close()
        self.frames = []
        self._turns.close()
        self._share.resize(0)
        self._tcp.closed()
        if (lost := self._state.get(LOST)) is not None:
            lost()

    @override
    def data_received(self, data: bytes) -> None:
        self._tcp.received(len(data))
        self._dropped += len(data) if self.close_sent else 0
        if self._dropped > MAX_DROPPED_BYTES:
            self.transport.abort()
            return
        held, self._held = self._held, False
        super().data_received(data)
        self._hold_input()
        if self.transport.is_closing():
            return
        if self._held:
            self.transport.pause_reading()
        elif held and not self.read_paused:
            self.transport.resume_reading()
        # uvicorn does not answer a handshake that websockets cannot parse, such as a POST, or more or longer
        # headers than 128 of 8 KiB.
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()

    @override
    async def send(self, message: ASGISendEvent) -> None:
        # The server is stopping, and does not wait until the client has read what was sent before.
        if message["type"] == "websocket.close" and message.get("code") == CloseCode.GOING_AWAY:
            self.writable.set()
        await self.writable.wait()
        # uvicorn has sent a close frame of its own, after an invalid frame for example, and the application
        # does not know yet: uvicorn would report its message as an error.
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        # uvicorn reports a refused handshake as one without an answer (its pull request 3138).
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True
        self._go_on()

    @override
    async def receive(self) -> ASGIReceiveEvent:
        self._asked, self._given = True, 0
        self._hold_input()
        self._read_on()
        if self.queue.empty():
            message = await self.queue.get()
            self._rests.begin()
        else:
            # Messages that have come already would be handled in one turn of the event loop.
            await asyncio.sleep(self._rests.due())
            message = await self.queue.get()
        self._asked = False
        if message["type"] == "websocket.receive":
            self._given = self._sizes.popleft()
        self._read_on()
        return message

    def _read_on(self) -> None:
        """Read more, unless messages wait."""
        if self.read_paused and self.queue.empty() and not self.transport.is_closing():
            self.read_paused = False
            if self._held:
                self._go_on()
            else:
                self.transport.resume_reading()

    def _may_parse(self) -> bool:
        """Return True if the next frame may be parsed in this turn of the event loop."""
        self._held = not (self.handshake_complete and self._turns.take())
        return not self._held

    def _go_on(self) -> None:
        """Parse frames that had to wait, unless messages before them still do."""
        if self._held and not self.read_paused and not self.transport.is_closing():
            self.data_received(b"")

    def _count_control_frame(self) -> None:
        now = self.loop.time()
        if now >= self._period_ends:
            self._period_ends = now + CONTROL_PERIOD_S
            self._control_frames = 0
        self._control_frames += 1
        if self._control_frames > MAX_CONTROL_FRAMES:
            self._fail(CloseCode.POLICY_VIOLATION, "too many frames without content")

    def _hold_input(self) -> None:
        """Count what was read in the budget, and close with 1013 if it has no room; pause reading if the
        application is busy.
        """
        # Whole frames that wait are no part of it; they are at most what one read of the socket returns.
        unfinished = self._fragments + (0 if self._held else len(self.conn.reader.buffer))
        if unfinished > FREE_BYTES and not self._begun and self._state.get(UNAUTHENTICATED):
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"more than {FREE_BYTES} bytes of a message before a key")
        held = self._given + sum(self._sizes) + (unfinished if self._asked else 0)
        try:
            self._share.resize(0 if self.close_sent or self.disconnected else held)
        except Busy as error:
            self._fail(CloseCode.TRY_AGAIN_LATER, str(error))
        long = unfinished > FREE_BYTES and not self.close_sent
        self._tcp.expect(Awaited.MESSAGE if long else Awaited.NOTHING)
        if long and not (self._asked or self.read_paused):
            self.read_paused = True
            self.transport.pause_reading()

    def _probe(self) -> None:
        if self.handshake_complete and not self.close_sent and self.writable.is_set():
            self.conn.send_ping(b"")
            self.transport.write(b"".join(self.conn.data_to_send()))

    def _stalled(self) -> None:
        self._fail(CloseCode.POLICY_VIOLATION, "the rest of a message did not come in time")
        self._tcp.expect(Awaited.NOTHING)

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close with a code and a reason, unless the connection is closed; drop an unfinished message."""
        if self.close_sent:
            return
        self.conn.fail(code, reason)
        self.handle_parser_exception()
        self.frames = []
        self._fragments = 0
        self._share.resize(0)
