"""uvicorn's HTTP protocol with timeouts for the head and the body of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import cast

import h11
from typing_extensions import override
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.network.tcp_connections import Awaited, TcpConnection

AWAITED = {h11.IDLE: Awaited.HEAD, h11.SEND_BODY: Awaited.BODY}
"""Awaited input by h11's state of the client."""


class HttpProtocol(H11Protocol):
    """One connection until it becomes a WebSocket; reports to ``tcp`` the input that its client owes."""

    def __init__(self, config: Config, server_state: ServerState, tcp: TcpConnection) -> None:
        super().__init__(config, server_state, app_state={})
        self._tcp = tcp
        self._upgraded = False

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._tcp.attach(transport, transport.abort)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._tcp.closed()

    @override
    def data_received(self, data: bytes) -> None:
        self._tcp.received(len(data))
        super().data_received(data)
        self._expect()

    @override
    def on_response_complete(self) -> None:
        # Also parses what has come of the next request already.
        super().on_response_complete()
        self._expect()

    @override
    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        protocol = cast(Callable[..., asyncio.Protocol], self.ws_protocol_class)
        self.ws_protocol_class = cast(type[asyncio.Protocol], partial(protocol, tcp=self._tcp))
        super().handle_websocket_upgrade(event)

    def _expect(self) -> None:
        if not self._upgraded:
            self._tcp.expect(AWAITED.get(self.conn.their_state, Awaited.NOTHING))
