"""VoxCPM's protocol: a WebSocket on ``/tts``, and the HTTP calls of the VoxCPM server's page.

``messages``, ``params`` and ``frames`` are the wire format without a socket; ``connection`` serves one
client, ``request`` one of its requests; ``http`` serves the rest; recordings come from ``remote_recordings``
and ``voice_folder``.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from kani.protocols.shared.memory_budget import MemoryBudget
from kani.protocols.shared.protocol import CompatPort, Context, Protocol
from kani.protocols.shared.whole_answer import MAX_WHOLE_ANSWER_BYTES
from kani.protocols.voxcpm.calls import call_group
from kani.protocols.voxcpm.connection import serve
from kani.protocols.voxcpm.http import http_routes
from kani.protocols.voxcpm.metrics import VoxCPMMetrics
from kani.protocols.voxcpm.remote_recordings import RemoteRecordings
from kani.protocols.voxcpm.request import SharedState
from kani.protocols.voxcpm.settings import VoxCPMSettings
from kani.protocols.voxcpm.voice_folder import VoiceFolder

__all__ = ["VoxCPMSettings", "protocol"]

PATH = "/tts"
PORTS = ("voxcpm_port", "voxcpm_page_port")
"""Settings of the ports of the VoxCPM server and of its page."""

MAX_MESSAGE_BYTES = 1 << 20
"""Limit of the VoxCPM server on a message of its WebSocket."""


def protocol(settings: VoxCPMSettings) -> Protocol:
    """Return the protocol, with the VoxCPM server's ports and limit on messages."""
    return Protocol(
        lambda context: _routes(context, settings),
        ports=(
            CompatPort(PORTS[0], "ws", "VoxCPM", PATH),
            CompatPort(PORTS[1], "http", "VoxCPM's page"),
        ),
        max_message={PATH: MAX_MESSAGE_BYTES},
        calls=call_group,
    )


def _routes(context: Context, settings: VoxCPMSettings) -> list[BaseRoute]:
    folder = VoiceFolder(settings.voice_dir)
    ports = [port for port in map(context.ports.get, PORTS) if port is not None]
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
