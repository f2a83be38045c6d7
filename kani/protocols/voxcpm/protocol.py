"""VoxCPM's protocol as the server mounts it."""

from __future__ import annotations

import logging

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.protocols.shared.protocol import CompatPort, Context, Protocol
from kani.protocols.shared.whole_answer import MAX_WHOLE_ANSWER_BYTES, MemoryBudget
from kani.protocols.voxcpm.calls import call_group
from kani.protocols.voxcpm.connection import serve
from kani.protocols.voxcpm.http import http_routes
from kani.protocols.voxcpm.metrics import VoxCPMMetrics
from kani.protocols.voxcpm.remote_recordings import RemoteRecordings
from kani.protocols.voxcpm.request import SharedState
from kani.protocols.voxcpm.settings import VoxCPMSettings
from kani.protocols.voxcpm.voice_folder import VoiceFolder

log = logging.getLogger(__package__)

PATH = "/tts"
PORTS = (
    CompatPort("voxcpm_port", "ws", "VoxCPM", PATH),
    CompatPort("voxcpm_port", "http", "VoxCPM's page", after=1),
)
"""The ports of the VoxCPM server and of its page."""

MAX_MESSAGE_BYTES = 1 << 20
"""Limit of the VoxCPM server on a message of its WebSocket."""


def protocol(settings: VoxCPMSettings) -> Protocol:
    """Return the protocol, with the VoxCPM server's ports and limit on messages."""
    return Protocol(
        lambda context: _routes(context, settings),
        ports=PORTS,
        max_message={PATH: MAX_MESSAGE_BYTES},
        calls=call_group,
    )


def _routes(context: Context, settings: VoxCPMSettings) -> list[BaseRoute]:
    if settings.voice_dir is not None and not settings.voice_dir.is_dir():
        log.warning("there is no voice folder %s (KANI_VOICE_DIR)", settings.voice_dir)
    folder = VoiceFolder(settings.voice_dir)
    ports = [context.ports[port.name] for port in PORTS if port.name in context.ports]
    shared = SharedState(
        context.service,
        settings,
        VoxCPMMetrics(context.registry),
        folder,
        RemoteRecordings(settings.recording_hosts),
        MemoryBudget(MAX_WHOLE_ANSWER_BYTES, alternative="use mode 'streaming'"),
    )

    async def speech(websocket: WebSocket) -> None:
        await serve(websocket, shared)

    return [WebSocketRoute(PATH, speech), *http_routes(context.service, settings, folder, ports)]
