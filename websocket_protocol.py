"""uvicorn's WebSocket, with bounds of its own and an answer to every handshake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import unquote

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

BAD_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
MOST_FRAGMENTS = 65_536


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket.

    A message that is longer than its path allows, or comes in more than ``MOST_FRAGMENTS`` pieces,
    closes it with 1009 before more of it is kept. A handshake is ended also where it is refused or
    cannot be read. largest_messages: bytes, by the path; ``ws_max_size`` counts on all others. roots:
    what the path `/` stands for, by the port that was connected to.
    """

    largest_messages: ClassVar[Mapping[str, int]] = {}
    roots: ClassVar[Mapping[int, str]] = {}

    def handle_connect(self, event: Request) -> None:
        """Take a handshake; uvicorn hands it over alone, before any frame is looked at."""
        path, mark, query = event.path.partition("?")
        root = self.roots.get(self.server[1] or 0) if self.server is not None else None
        if path == "/" and root is not None:
            path = root
            event.path = path + mark + query
        path = unquote(path)
        self.conn.max_message_size = self.largest_messages.get(path, self.config.ws_max_size)
        super().handle_connect(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a further piece of a message. An empty one adds nothing to its length, but takes room."""
        if self.close_sent:
            return
        if len(self.frames) == MOST_FRAGMENTS:
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"more than {MOST_FRAGMENTS} fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

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

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        super().data_received(data)
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
