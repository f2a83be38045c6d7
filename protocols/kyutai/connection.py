"""What the protocol's two WebSockets have in common: whose they are, and how they end."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

from protocols.kyutai.messages import NO_FREE_CHANNELS, BadMessage
from speech.errors import Busy, InvalidRequest, SpeechCancelled, TextTooLong

MAX_REASON_BYTES = 120
"""Bytes of a close frame's reason: 123 at most (RFC 6455, 5.5)."""

NORMAL = 1000
GOING_AWAY = 1001
BAD_DATA = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011
TRY_LATER = 1013


@dataclass(frozen=True, slots=True)
class Closing:
    """How a connection ends: a close code, and a sentence where something was wrong."""

    code: int = NORMAL
    reason: str = ""


def closing_for(error: Exception, voice_field: str = "voice") -> Closing:
    """How a connection ends that met with ``error``; voice: what told whom the speech is to sound like."""
    match error:
        case Busy():
            return Closing(TRY_LATER, NO_FREE_CHANNELS)
        case TextTooLong():
            return Closing(TOO_BIG, str(error))
        case InvalidRequest(field="reference"):
            return Closing(BAD_DATA, f"{voice_field}: {error.reason}")
        case InvalidRequest() | BadMessage():
            return Closing(BAD_DATA, str(error))
        case SpeechCancelled():
            return Closing(GOING_AWAY, "the server is stopping")
    return Closing(INTERNAL_ERROR, str(error))


def client_address(client: HTTPConnection) -> str:
    """Whose rate a client counts towards."""
    return client.client.host if client.client else ""


async def close(websocket: WebSocket, ending: Closing) -> None:
    """Close a connection, if the client is still there."""
    reason = ending.reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    with suppress(WebSocketDisconnect, RuntimeError):
        await websocket.close(ending.code, reason)
