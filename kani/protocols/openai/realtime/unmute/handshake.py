"""Tells the clients of Unmute from those of OpenAI on the port that both may use."""

from starlette.types import Scope
from starlette.websockets import WebSocket

from kani.protocols.openai.realtime.client_events import EventError, parse_event
from kani.protocols.shared.protocol import offered_keys

PORT_SETTING = "rest_port"
"""Setting of the port on which Unmute's clients look for their server."""

MARK = "allow_recording"
"""Field of ``session.update`` that Unmute requires and OpenAI does not have."""


def is_on_port(scope: Scope, port: int | None) -> bool:
    """Return True if a request or a handshake came in by ``port``; False where that is not open."""
    server = scope.get("server")
    return port is not None and server is not None and server[1] == port


def may_be_unmute(websocket: WebSocket, subprotocol: str, port: int | None) -> bool:
    """Return True for a handshake as Unmute's clients send it: a sub-protocol, but neither key nor query.

    OpenAI's clients name a model in the query or send a key, if only an empty one.
    """
    scope = websocket.scope
    bare = not scope["query_string"] and not offered_keys(websocket.headers, b"")
    return is_on_port(scope, port) and scope["subprotocols"] == [subprotocol] and bare


async def is_unmute(first: str | bytes) -> bool:
    """Return True if a connection's first message is one of Unmute's."""
    try:
        event = await parse_event(first if isinstance(first, str) else "")
        return event.type == "session.update" and MARK in event.object("session")
    except EventError:
        return False
