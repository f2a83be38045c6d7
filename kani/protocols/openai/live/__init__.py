"""OpenAI's Live API: WS /v1/live/sessions, a dialect of the Realtime connection, and POST for one by WebRTC.

``session`` is what a client asks for, ``connection`` serves it; ``events`` and ``output`` write the wire.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.protocols.openai.errors import endpoint
from kani.protocols.openai.live.connection import LiveConnection
from kani.protocols.openai.live.events import LiveSender
from kani.protocols.openai.live.session import read_session
from kani.protocols.openai.realtime import IDLE_S, SESSION_S
from kani.protocols.openai.realtime.answers.paced import Track
from kani.protocols.openai.realtime.client_events import ClientEvent, EventError, convert, faulty, parse_event
from kani.protocols.openai.realtime.client_secrets import as_api_error, read_body
from kani.protocols.openai.realtime.session_config import PCM
from kani.protocols.openai.realtime.unmute.connection import NO_MODEL
from kani.protocols.openai.realtime.webrtc.routes import CALL, Calls
from kani.protocols.shared.connection import POLICY_VIOLATION, Client
from kani.protocols.shared.conversation import ConnectionLimits
from kani.protocols.shared.errors import RequestError, field_error, json_response
from kani.protocols.shared.protocol import KEY_PROTOCOLS, Context

if TYPE_CHECKING:
    from kani.protocols.openai.realtime.webrtc.call import Call

PATHS = ("/v1/live/sessions", "/live/sessions", "/openai/v1/live/sessions")

MAX_BYTES = 2**20
"""Bytes of an offer with its session, which may hold long instructions and a history."""

log = logging.getLogger(__name__)


class _Transport(Struct):
    type: Literal["webrtc"]
    sdp: str


class _Create(Struct):
    session: dict[str, Any]
    transport: _Transport


def live_routes(context: Context, instructions: str, calls: Calls) -> list[BaseRoute]:
    """Return the routes of the Live API.

    instructions: of the language model, for clients without any; calls: keeps those that come.
    """
    service, limits = context.service, ConnectionLimits(SESSION_S, IDLE_S)

    async def serve(websocket: WebSocket) -> None:
        await websocket.accept(_subprotocol(websocket))
        call: Call | None = websocket.scope.get("extensions", {}).get(CALL)
        if call is not None:
            await call.serve(Client(websocket))
            return
        client = Client(websocket)
        event: ClientEvent | None = None
        try:
            async with asyncio.timeout(limits.idle_s):
                if (first := await client.receive()) is None:
                    return
            event = await parse_event(first if isinstance(first, str) else "")
            if event.type != "session.start":
                raise faulty("type", "must be session.start in the first event", "invalid_state")
            if service.chat_model is None:
                # By this code LiveKit's client does not try again.
                raise EventError(NO_MODEL, "forbidden")
            session = await read_session(event.object("session"), service, instructions)
        except EventError as error:
            log.warning("a Live session was refused: %s", error)
            with suppress(WebSocketDisconnect):
                await LiveSender(client.send).error(error, None if event is None else event.event_id)
            # Clients without a limit of their own would wait for a start without end.
            await client.close(POLICY_VIOLATION, str(error))
            return
        except TimeoutError:
            await client.close(POLICY_VIOLATION, "no session.start came")
            return
        connection = LiveConnection(client, service, session, limits, event)
        del first, event, session  # as large as a message may be, for as long as the session lasts
        await connection.run()

    async def create(request: Request) -> Response:
        fields = await read_body(request, MAX_BYTES)
        try:
            given = convert(fields, _Create, "body")
            session = await read_session(given.session, service, instructions)
        except EventError as error:
            raise as_api_error(error) from error
        if service.chat_model is None:
            raise RequestError(403, NO_MODEL, code="forbidden")
        if given.session.get("client"):
            reason = "events of a data channel cannot be restricted here"
            raise field_error("session.client", reason, "unsupported")
        session.note_unserved(fields | {"session": None}, _Create, "body")
        # Its audio is that of the tracks.
        session.config = replace(session.config, input_format=PCM, output_format=PCM)

        def make_session(client: Client, track: Track) -> LiveConnection:
            start = ClientEvent("session.start", None, {})
            return LiveConnection(client, service, session, limits, start, track)

        answer = await calls.open(request, session.id, PATHS[0], make_session, given.transport.sdp)
        transport = {"type": "webrtc", "sdp": answer}
        return json_response({"session": {"id": session.id}, "transport": transport}, 201)

    async def attach(websocket: WebSocket) -> None:
        await calls.join(
            websocket, "session_id", websocket.path_params["session_id"], _subprotocol(websocket)
        )

    return [
        route
        for path in PATHS
        for route in (
            WebSocketRoute(path, serve),
            Route(path, endpoint(create), methods=["POST"]),
            WebSocketRoute(f"{path}/{{session_id}}/attach", attach),
            Route(f"{path}/{{session_id}}/hangup", endpoint(calls.hang_up), methods=["POST"]),
        )
    ]


def _subprotocol(websocket: WebSocket) -> str | None:
    """Return one to answer with: a browser closes a connection where it offers some and gets none."""
    offered: list[str] = websocket.scope["subprotocols"]
    plain = [name for name in offered if not name.startswith(KEY_PROTOCOLS)]
    return next(iter([*plain, *offered]), None)
