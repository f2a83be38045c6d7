"""uvicorn's HTTP, with a limit to how long a client may take for its request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.network.tcp_connections import Awaited, TcpConnection

AWAITED = {h11.IDLE: Awaited.HEAD, h11.SEND_BODY: Awaited.BODY}
"""By what h11 calls the state of a client."""


class HttpProtocol(H11Protocol):
    """One connection, until it becomes a WebSocket: tells ``tcp`` what its client has yet to send."""

    def __init__(self, config: Config, server_state: ServerState, tcp: TcpConnection) -> None:
        super().__init__(config, server_state, app_state={})
        self._tcp = tcp
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, behind the TLS handshake if there is one."""
        super().connection_made(transport)
        self._tcp.attach(transport, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self._tcp.closed()

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        self._tcp.received(len(data))
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        """Wait for the next request; what came of it already is looked at."""
        super().on_response_complete()
        self._expect()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over to a WebSocket."""
        self._upgraded = True
        protocol = cast(Callable[..., asyncio.Protocol], self.ws_protocol_class)
        self.ws_protocol_class = cast(type[asyncio.Protocol], partial(protocol, tcp=self._tcp))
        super().handle_websocket_upgrade(event)

    def _expect(self) -> None:
        if not self._upgraded:
            self._tcp.expect(AWAITED.get(self.conn.their_state, Awaited.NOTHING))
