"""OpenAI's audio API, Realtime: WS /v1/realtime, and calls by WebRTC.

``connection`` serves one client; ``answers`` holds what a language model answers, or reads given text aloud;
``unmute`` is the dialect of Unmute's clients. ``client_events`` and ``server_events`` are the wire;
``session_config`` configures a session, and ``session_update`` reads its changes in both generations of the
API; ``client_secrets`` issues ephemeral keys.
"""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.protocols.openai.realtime.client_events import MAX_MESSAGE_BYTES
from kani.protocols.openai.realtime.client_secrets import EphemeralKeys, secret_routes
from kani.protocols.openai.realtime.connection import RealtimeConnection
from kani.protocols.openai.realtime.session_config import SessionConfig, SessionKind, initial_config
from kani.protocols.openai.realtime.unmute.connection import UnmuteConnection
from kani.protocols.openai.realtime.unmute.handshake import PORT_SETTING, is_unmute, may_be_unmute
from kani.protocols.openai.realtime.unmute.lists import list_routes
from kani.protocols.openai.realtime.webrtc.routes import CALL, Calls, call_routes
from kani.protocols.openai.realtime.webrtc.routes import PATH as CALLS_PATH
from kani.protocols.shared.connection import Client
from kani.protocols.shared.conversation import ConnectionLimits
from kani.protocols.shared.protocol import Context, offered_keys

if TYPE_CHECKING:
    from kani.protocols.openai.realtime.webrtc.call import Call

__all__ = ["CALLS_PATH", "MAX_MESSAGE_BYTES", "PATH", "EphemeralKeys", "realtime_routes"]

PATH = "/v1/realtime"
SESSION_S = 3600.0
"""Longest life of a connection."""

IDLE_S = 900.0
"""Longest time without an event of its client: LiveKit keeps a connection for ten minutes between streams."""

SUBPROTOCOL = "realtime"
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"


def realtime_routes(
    context: Context, instructions: str, keys: EphemeralKeys, known_servers: tuple[str, ...], calls: Calls
) -> list[BaseRoute]:
    """Return the routes of the Realtime WebSocket, of its ephemeral keys, and of Unmute's clients.

    instructions: of the language model, where there is one, for clients that give none; known_servers:
    addresses of the MCP servers that sessions may name; sessions of ephemeral keys may name none; calls:
    keeps those that come.
    """
    if known_servers:
        # Loaded before the first session, as it takes the event loop a tenth of a second.
        importlib.import_module("kani.protocols.openai.realtime.mcp_client")
    service, unmute_port = context.service, context.ports.get(PORT_SETTING)
    limits = ConnectionLimits(SESSION_S, IDLE_S)
    told = instructions if service.chat_model is not None else None

    async def serve(websocket: WebSocket) -> None:
        call: Call | None = websocket.scope.get("extensions", {}).get(CALL)
        if call is None and (call_id := websocket.query_params.get("call_id")) is not None:
            await calls.join(websocket, "call_id", call_id, _subprotocol(websocket))
            return
        await websocket.accept(_subprotocol(websocket))
        client, first = Client(websocket), None
        if call is not None:
            await call.serve(client)
            return
        if may_be_unmute(websocket, SUBPROTOCOL, unmute_port):
            # The first message shows the dialect; a greeting of OpenAI's would end Unmute's load test.
            try:
                async with asyncio.timeout(limits.idle_s):
                    if (first := await client.receive()) is None:
                        return
            except TimeoutError:
                pass  # OpenAI's greeting comes first, and then the end
            if first is not None and await is_unmute(first):
                config = initial_config("realtime", None, told)
                await UnmuteConnection(client, service, config, limits).run(first)
                return
        headers = websocket.headers.getlist("openai-beta")
        offered = websocket.scope["subprotocols"]
        beta = BETA_SUBPROTOCOL in offered or any("realtime=v1" in value for value in headers)
        config = first_config(websocket)
        await RealtimeConnection(client, service, config, limits, beta=beta).run(first)

    def first_config(connection: HTTPConnection) -> SessionConfig:
        """Return the configuration to begin with: that of an ephemeral key, or by the address."""
        for key in offered_keys(connection.headers, connection.scope["query_string"]):
            if (config := keys.find(key)) is not None:
                return config
        query = connection.query_params
        kind: SessionKind = "transcription" if query.get("intent") == "transcription" else "realtime"
        initial = initial_config(kind, query.get("model", "")[:200] or None, told)
        return replace(initial, known_servers=known_servers)

    return [
        WebSocketRoute(PATH, serve),
        *call_routes(calls, PATH, first_config, service, limits),
        *secret_routes(service, keys, SESSION_S, told),
        *list_routes(service, unmute_port),
    ]


def _subprotocol(websocket: WebSocket) -> str | None:
    # A browser closes a connection if the answer names none of the sub-protocols that it offers.
    return SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None
