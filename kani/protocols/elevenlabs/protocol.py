"""ElevenLabs' protocol and the relay's as the server mounts them."""

from dataclasses import replace

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.core.errors import InvalidRequest
from kani.core.service import SpeechService
from kani.protocols.elevenlabs.agents import routes as agents
from kani.protocols.elevenlabs.errors import error_response, refusal_body
from kani.protocols.elevenlabs.http.calls import call_group
from kani.protocols.elevenlabs.http.lists import list_routes
from kani.protocols.elevenlabs.http.speech import speech_routes
from kani.protocols.elevenlabs.http.speech_to_text import recording_routes, uploads_of
from kani.protocols.elevenlabs.http.voices import voice_routes
from kani.protocols.elevenlabs.plugin import MAX_TEXT, ElevenLabsSettings, Settings
from kani.protocols.elevenlabs.realtime import connection as realtime
from kani.protocols.elevenlabs.relay import connection as relay
from kani.protocols.elevenlabs.relay.alignment_files import RelayLogs
from kani.protocols.elevenlabs.relay.queue import RelayState
from kani.protocols.elevenlabs.single_use_tokens import AGENT_PATH, SingleUseTokens
from kani.protocols.elevenlabs.websocket.connection import BaseConnection
from kani.protocols.elevenlabs.websocket.dialogue import DialogueConnection, SingleDialogueConnection
from kani.protocols.elevenlabs.websocket.multi import MultiContextConnection, SingleContextConnection
from kani.protocols.elevenlabs.websocket.query import MAX_INACTIVITY_S, parse_query
from kani.protocols.shared.connection import Client
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import CompatPort, Context, Protocol

PREFIXES = ("/v1/", "/v2/")
"""Prefixes of the protocol's HTTP paths, those that are not served included."""


_SPEECH = "/v1/text-to-speech/"
_DIALOGUE = "/v1/text-to-dialogue/"
"""Prefixes of the paths. Clients may send the API key in their first message."""


def protocol(given: Settings, server: ServerSettings) -> Protocol:
    """Return the protocol together with the relay's, and the relay's port."""
    relay_voice = server.setting("elevenlabs_voice_id")
    settings = ElevenLabsSettings(given, server.max_text or MAX_TEXT, relay_voice)
    state, tokens, uploads = RelayState(), SingleUseTokens(), uploads_of(server.max_upload)
    instructions, agent_files = server.setting("llm_instructions"), server.setting("data_dir") / "agents"
    logs = RelayLogs(given.relay_logs) if given.relay_logs is not None else None

    def routes(context: Context) -> list[BaseRoute]:
        service = context.service
        return [
            *speech_routes(service, settings),
            *list_routes(service, settings),
            *voice_routes(service, settings),
            *recording_routes(service, uploads),
            *tokens.routes(),
            *_websockets(service, settings),
            *realtime.routes(service),
            *agents.routes(service, settings, tokens, instructions, agent_files),
            *relay.routes(service, settings, state, logs),
        ]

    return Protocol(
        routes,
        ports=(CompatPort("relay_port", "ws", "relay"),),
        key_in_first_message=(*(_SPEECH, _DIALOGUE, realtime.PATH, AGENT_PATH),),
        temporary_keys=tokens.keys,
        refusals=dict.fromkeys(PREFIXES, refusal_body),
        max_body={path: each.max_body for path, each in uploads.items()},
        one_process=relay.PATHS,
        saves=[f"the relay's texts in {folder.absolute()}" for folder in (logs.folders if logs else ())],
        health_fields=state.health_fields,
        calls=lambda: call_group(settings, server.max_upload),
    )


def _websockets(service: SpeechService, settings: ElevenLabsSettings) -> list[BaseRoute]:
    """Return the routes of ``stream-input`` and ``multi-stream-input``, of speech and of dialogues."""

    def route(path: str, kind: type[BaseConnection], *, dialogue: bool = False) -> WebSocketRoute:
        async def serve(websocket: WebSocket) -> None:
            try:
                query = parse_query(websocket.query_params, service)
            except InvalidRequest as error:
                await websocket.send_denial_response(error_response(error))
                return
            if dialogue:
                # Clients keep each context alive, but not a connection without one.
                query = replace(query, inactivity_timeout_s=MAX_INACTIVITY_S)
            await websocket.accept()
            await kind(Client(websocket), service, settings, query).run()

        return WebSocketRoute(path, serve)

    return [
        route(f"{_SPEECH}{{voice_id}}/stream-input", SingleContextConnection),
        route(f"{_SPEECH}{{voice_id}}/multi-stream-input", MultiContextConnection),
        route(f"{_DIALOGUE}stream-input", SingleDialogueConnection, dialogue=True),
        route(f"{_DIALOGUE}multi-stream-input", DialogueConnection, dialogue=True),
    ]
