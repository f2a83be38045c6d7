"""Routes of ElevenLabs Agents: the conversation, and the calls that clients make before it."""

from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.agents.config import load_agent
from kani.protocols.elevenlabs.agents.connection import AgentConnection
from kani.protocols.elevenlabs.errors import endpoint, json_answer
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.realtime.connection import NO_KEY
from kani.protocols.elevenlabs.single_use_tokens import AGENT, AGENT_PATH, SingleUseTokens
from kani.protocols.shared.connection import INTERNAL_ERROR, POLICY_VIOLATION, Client, own_url

SUBPROTOCOL = "convai"
_FOR_AGENT = ".agent."  # between a token and the id of its agent; no token has a full stop

NO_MODEL = "no language model answers here: start the server with --llm and the address of a chat endpoint"


def routes(
    service: SpeechService,
    settings: ElevenLabsSettings,
    tokens: SingleUseTokens,
    instructions: str,
    folder: Path,
) -> list[BaseRoute]:
    """instructions: of an agent without a prompt; folder: of the agents' files."""

    async def serve(websocket: WebSocket) -> None:
        # A browser closes a connection if the answer names none of the sub-protocols that it offers.
        offered = websocket.scope["subprotocols"]
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        client = Client(websocket)
        if websocket.scope.get("key_check") is not None:
            await client.close(POLICY_VIOLATION, NO_KEY.reason)
        elif service.chat_model is None:
            await client.close(INTERNAL_ERROR, NO_MODEL)
        else:
            given = websocket.query_params
            # An address that was given out is that of one agent, whatever its holder writes into it.
            _, bound, named = given.get("token", "").partition(_FOR_AGENT)
            load = partial(load_agent, named if bound else given.get("agent_id", ""), folder, instructions)
            await AgentConnection(client, service, settings, load).run()

    async def signed_url(request: Request) -> Response:
        agent_id = request.query_params.get("agent_id", "")
        if not agent_id:
            raise InvalidRequest("agent_id", "is needed")
        token = tokens.issue(AGENT, f"{_FOR_AGENT}{agent_id}")
        query = urlencode({"agent_id": agent_id, "token": token})
        return json_answer({"signed_url": f"ws{own_url(request)[4:]}{AGENT_PATH}?{query}"})

    return [
        WebSocketRoute(AGENT_PATH, serve),
        Route(f"{AGENT_PATH}/get-signed-url", endpoint(signed_url), methods=["GET"]),
    ]
