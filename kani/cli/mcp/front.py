"""MCP by HTTP, with the server's own limits on connections, requests, keys and web pages."""

import asyncio
import socket
from collections.abc import Sequence

from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kani.composition.settings import Settings
from kani.protocols.shared.protocol import UNREAD_S
from kani.server.access import AccessMiddleware, AccessRules
from kani.server.connections import Connections, ConnectionsMiddleware, Phase
from kani.server.lifecycle import CLOSE_SECONDS, accept_connections, http_config
from kani.server.middleware import UnhandledErrorMiddleware
from kani.server.network.listeners import files_needed, max_tcp_connections, open_files, raise_file_limit
from kani.server.network.tcp_connections import TcpTable
from kani.server.network.upload_budget import upload_budget
from kani.server.network.uvicorn_websocket import WebSocketProtocol

MAX_BODY = 256 * 1024
"""Bytes of a message. The longest text takes half; the SDK parses it on the event loop."""

MAX_SESSIONS = 64
IDLE_S = 1800.0
"""Time after which a session without a request is ended (seconds)."""


class Sessions:
    """Ends the session that was not used for the longest time where a new one is one too many.

    The SDK keeps the session of a client that never ends it, and refuses new ones at its limit.
    """

    def __init__(self, app: ASGIApp, end: ASGIApp) -> None:
        """end: takes a DELETE of a session, as of its client."""
        self._app, self._end = app, end
        self._requests = dict[str, int]()
        """Requests being served, by session; those used last come last."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        session = Headers(scope=scope).get(MCP_SESSION_ID_HEADER)

        async def noted(message: Message) -> None:
            nonlocal session
            if session is None and message["type"] == "http.response.start" and message["status"] < 400:
                session = Headers(raw=message["headers"]).get(MCP_SESSION_ID_HEADER)
                if session is not None:
                    self._requests[session] = 1
            await send(message)

        if session in self._requests:
            self._requests[session] += 1
        try:
            await self._app(scope, receive, noted)
        finally:
            if session in self._requests:
                requests = self._requests.pop(session) - 1
                if scope["method"] != "DELETE":
                    self._requests[session] = requests
            await self._make_room(scope)

    async def _make_room(self, scope: Scope) -> None:
        unused = [session for session, requests in self._requests.items() if not requests]
        for session in unused[: max(0, len(self._requests) - MAX_SESSIONS)]:
            del self._requests[session]
            headers = [(MCP_SESSION_ID_HEADER.encode(), session.encode())]
            await self._end({**scope, "method": "DELETE", "headers": headers}, _no_body, _unread)


async def _no_body() -> Message:
    return {"type": "http.request"}


async def _unread(message: Message) -> None:
    """Drop an answer."""


async def serve_http(
    server: MCPServer, sockets: Sequence[socket.socket], settings: Settings, stop: asyncio.Event
) -> None:
    """Serve until ``stop``: clients with a key where the settings have keys, else those of this machine.

    sockets: listening ones, which are closed at the end.
    """
    keys = tuple(key.get_secret_value() for key in settings.api_keys)
    rules = AccessRules(
        # A key is for each client: other users of this machine reach a loopback address as well.
        loopback=not keys,
        keys=keys,
        allowed_origins=frozenset(settings.allowed_origins),
        allowed_hosts=frozenset(settings.allowed_hosts),
    )
    # Host and Origin are checked by the rules.
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    sdk = server.streamable_http_app(
        transport_security=unchecked,
        max_request_body_size=MAX_BODY,
        session_idle_timeout=IDLE_S,
        max_sessions=2 * MAX_SESSIONS,
    )
    manager = server.session_manager
    connections = Connections(settings.max_connections, lambda _: None, UNREAD_S)
    connections.phase = Phase.READY
    app: ASGIApp = ConnectionsMiddleware(
        Sessions(sdk, manager.handle_request),
        connections,
        exempt_paths=frozenset(),
        max_body=MAX_BODY,
        upload_budget=upload_budget(),
        longer_bodies={},
    )
    app = UnhandledErrorMiddleware(AccessMiddleware(app, rules))
    files = raise_file_limit(files_needed(settings.max_connections))
    table = TcpTable(max_tcp_connections(settings.max_connections, files, open_files()), lambda _: None)
    accepting = accept_connections(http_config(app, WebSocketProtocol), sockets, None, stop, table)
    async with accepting:
        async with manager.run():
            await stop.wait()
            connections.phase = Phase.DRAINING
        await connections.close_all(CLOSE_SECONDS)
