"""uvicorn's WebSocket, with bounds of its own and an answer to every handshake."""

from __future__ import annotations

from asyncio import BaseTransport
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from server.network.tcp_connections import Awaited, TcpConnection
from server.network.upload_budget import UploadBudget, UploadBudgetFull, UploadShare

BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
MAX_FRAGMENTS = 65_536


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket.

    A message that is longer than its path allows, or comes in more than ``MAX_FRAGMENTS`` pieces,
    closes it with 1009 before more of it is kept; one for which ``intake`` has no room with 1013, and a
    long one that stalls with 1008. A handshake is ended also where it is refused or cannot be read.
    largest_messages: bytes, by the path; ``ws_max_size`` counts on all others. roots: what the path `/`
    stands for, by the port that was connected to. intake: what holds the bytes of unfinished messages.
    """

    max_message_bytes: ClassVar[Mapping[str, int]] = {}
    root_paths: ClassVar[Mapping[int, str]] = {}
    upload_budget: ClassVar[UploadBudget] = UploadBudget()

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, tcp: TcpConnection
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._tcp = tcp
        self._share = UploadShare(self.upload_budget)
        self._fragments = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Take over a connection whose first request asks for a WebSocket."""
        super().connection_made(transport)
        self._tcp.attach(self.transport, self._stalled)
        self._tcp.expect(Awaited.NOTHING)

    def handle_connect(self, event: Request) -> None:
        """Take a handshake; uvicorn hands it over alone, before any frame is looked at."""
        path, mark, query = event.path.partition("?")
        root = self.root_paths.get(self.server[1] or 0) if self.server is not None else None
        if path == "/" and root is not None:
            path = root
            event.path = path + mark + query
        path = unquote(path)
        self.conn.max_message_size = self.max_message_bytes.get(path, self.config.ws_max_size)
        super().handle_connect(event)

    def handle_text(self, event: Frame) -> None:
        """Take a message of text, or its first piece."""
        super().handle_text(event)
        self._fragments = sum(map(len, self.frames))

    def handle_bytes(self, event: Frame) -> None:
        """Take a message of bytes, or its first piece."""
        super().handle_bytes(event)
        self._fragments = sum(map(len, self.frames))

    def handle_cont(self, event: Frame) -> None:
        """Take a further piece of a message. An empty one adds nothing to its length, but takes room."""
        if self.close_sent:
            return
        if len(self.frames) == MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"more than {MAX_FRAGMENTS} fragments")
            return
        super().handle_cont(event)
        self._fragments = self._fragments + len(event.data) if self.frames else 0

    def handle_ping(self) -> None:
        """Answer a ping, unless the client does not take what it is sent: it would pile up.

        A client may be sent the answer to its latest ping only (RFC 6455, 5.5.3).
        """
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    def keepalive_timeout(self) -> None:
        """End the connection of a client that does not answer."""
        super().keepalive_timeout()
        # Closing waits until what was sent is taken; whoever reads nothing never takes it.
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what came in: the parser and its connection are a cycle, which holds the last message."""
        super().connection_lost(exc)
        self.conn.parser.close()
        self._share.resize(0)
        self._tcp.closed()

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        self._tcp.received(len(data))
        super().data_received(data)
        self._hold_unfinished()
        # Such as more headers, or longer ones, than websockets reads (128 of 8 KiB), or a POST:
        # uvicorn would leave the client waiting.
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(BAD_HANDSHAKE)
            self.transport.close()

    async def send(self, message: ASGISendEvent) -> None:
        """Send what the application says. Raises ClientDisconnected, an OSError, where nobody hears it."""
        await self.writable.wait()
        # uvicorn has said goodbye itself, to a frame that may not be, say, and the application has not
        # heard of it yet: uvicorn would take that for a mistake of the application's.
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        # uvicorn takes a handshake that was refused for one without an answer, and logs an error
        # (its pull request 3138).
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def _hold_unfinished(self) -> None:
        """Hold what came of a message whose end has not come; close with 1013 if there is no room."""
        unfinished = 0 if self.close_sent else len(self.conn.reader.buffer) + self._fragments
        try:
            self._share.resize(unfinished)
        except UploadBudgetFull as error:
            self._fail(CloseCode.TRY_AGAIN_LATER, str(error))
        self._tcp.expect(Awaited.MESSAGE if self._share.size else Awaited.NOTHING)

    def _stalled(self) -> None:
        self._fail(CloseCode.POLICY_VIOLATION, "the rest of a message did not come in time")
        self._tcp.expect(Awaited.NOTHING)

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Say why, close, and keep nothing of an unfinished message."""
        self.conn.fail(code, reason)
        self.handle_parser_exception()
        self.frames = []
        self._fragments = 0
        self._share.resize(0)
