"""Kyutai's protocol as the server mounts it."""

from functools import partial

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from kani.protocols.kyutai.calls import call_group
from kani.protocols.kyutai.http import SPEECH_PATHS, info_routes, recording_routes, speech_routes
from kani.protocols.kyutai.metrics import KyutaiMetrics
from kani.protocols.kyutai.plugin import Settings
from kani.protocols.kyutai.speech_in import serve_recognition
from kani.protocols.kyutai.speech_out import serve_speech
from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import CompatPort, Context, PathClass, Protocol

RECOGNITION_PATH = "/api/asr-streaming"
MAX_MESSAGE_BYTES = 64 << 20
"""Limit of moshi-server on a message of its WebSockets."""

VOICE_PORT_AFTER = 12
"""Ports from Kyutai's 8080 to the 8092 of its voice cloning."""


def protocol(_: Settings, server: ServerSettings) -> Protocol:
    """Return the protocol, with moshi-server's ports, keys and limit on messages."""
    websockets = (*SPEECH_PATHS, RECOGNITION_PATH)
    return Protocol(
        lambda context: _routes(context, server.version),
        ports=(
            CompatPort("kyutai_port", "ws", "Kyutai"),
            CompatPort("kyutai_port", "http", "Kyutai voice cloning", after=VOICE_PORT_AFTER),
        ),
        paths={
            **dict.fromkeys(("/api/build_info", "/api/modules_info"), PathClass.PUBLIC),
            **dict.fromkeys((*websockets, "/api/tts"), PathClass.REQUIRES_KEY),
            "/api/voice": PathClass.NO_KEY_WITH_PUBLIC_TOKEN,
        },
        max_message=dict.fromkeys(websockets, MAX_MESSAGE_BYTES),
        calls=call_group,
    )


def _routes(context: Context, version: str) -> list[BaseRoute]:
    service, metrics = context.service, KyutaiMetrics(context.registry)
    speech = partial(serve_speech, service=service, metrics=metrics)
    recognition = partial(serve_recognition, service=service, metrics=metrics)

    async def no_upgrade(request: Request) -> Response:
        return PlainTextResponse("Connection header did not include 'upgrade'", 400)

    return [
        *(WebSocketRoute(path, speech) for path in SPEECH_PATHS),
        WebSocketRoute(RECOGNITION_PATH, recognition),
        *speech_routes(service),
        *recording_routes(service, metrics),
        *(Route(path, no_upgrade, methods=["GET"]) for path in (*SPEECH_PATHS, RECOGNITION_PATH)),
        *info_routes(service, version, metrics),
    ]
