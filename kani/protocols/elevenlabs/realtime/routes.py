"""Route of realtime speech to text."""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core.errors import SpeechError
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.realtime.config import parse_config
from kani.protocols.elevenlabs.realtime.connection import RealtimeConnection, tell
from kani.protocols.elevenlabs.realtime.messages import Fault, fault_of
from kani.protocols.shared.connection import POLICY_VIOLATION, Client

PATH = "/v1/speech-to-text/realtime"

NO_KEY = Fault("auth_error", "a valid API key is needed: xi-api-key: KEY, or ?token=TOKEN", POLICY_VIOLATION)


def routes(service: SpeechService) -> list[BaseRoute]:
    """Return the route. Every refusal is a message, which a browser can read, and a close."""

    async def serve(websocket: WebSocket) -> None:
        await websocket.accept()
        client = Client(websocket)
        # No message of a client holds a key: one that the handshake lacks does not come.
        if websocket.scope.get("key_check") is not None:
            await tell(client, NO_KEY)
            return
        try:
            config = parse_config(websocket.query_params, service.recognition.spoken)
        except SpeechError as error:
            await tell(client, fault_of(error))
            return
        await RealtimeConnection(client, service, config).run()

    return [WebSocketRoute(PATH, serve)]
