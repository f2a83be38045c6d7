"""OpenAI's Live API: WS /v1/live/sessions, a dialect of the Realtime connection.

``session`` is what a client asks for, ``connection`` serves it; ``events`` and ``output`` write the wire.
"""

import asyncio
import logging
from contextlib import suppress

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kani.protocols.openai.live.connection import LiveConnection
from kani.protocols.openai.live.events import LiveSender
from kani.protocols.openai.live.session import read_session
from kani.protocols.openai.realtime import IDLE_S, SESSION_S
from kani.protocols.openai.realtime.client_events import ClientEvent, EventError, parse_event
from kani.protocols.openai.realtime.unmute.connection import NO_MODEL
from kani.protocols.shared.connection import POLICY_VIOLATION, Client
from kani.protocols.shared.conversation import ConnectionLimits
from kani.protocols.shared.protocol import KEY_PROTOCOLS, Context

PATHS = ("/v1/live/sessions", "/live/sessions", "/openai/v1/live/sessions")

log = logging.getLogger(__name__)


def live_routes(context: Context, instructions: str) -> list[BaseRoute]:
    """Return the routes of the Live API; instructions: of the language model, for clients without any."""
    service, limits = context.service, ConnectionLimits(SESSION_S, IDLE_S)

    async def serve(websocket: WebSocket) -> None:
        await websocket.accept(_subprotocol(websocket.scope["subprotocols"]))
        client = Client(websocket)
        event: ClientEvent | None = None
        try:
            async with asyncio.timeout(limits.idle_s):
                if (first := await client.receive()) is None:
                    return
            event = await parse_event(first if isinstance(first, str) else "")
            if event.type != "session.start":
                raise EventError("type: must be session.start in the first event", "invalid_state", "type")
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

    return [WebSocketRoute(path, serve) for path in PATHS]


def _subprotocol(offered: list[str]) -> str | None:
    """Return one to answer with: a browser closes a connection where it offers some and gets none."""
    plain = [name for name in offered if not name.startswith(KEY_PROTOCOLS)]
    return next(iter([*plain, *offered]), None)
