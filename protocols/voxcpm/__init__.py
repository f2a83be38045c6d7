"""VoxCPM's protocol: a WebSocket on ``/tts``, and what its page asks for by HTTP.

``messages``, ``params`` and ``frames`` are the wire format without a socket; ``connection`` is one
client, ``speaking`` one of its requests; ``http`` the rest, ``remote_recordings`` and ``voice_folder``
where recordings come from.
"""

from __future__ import annotations

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from protocols.shared.memory_budget import MemoryBudget
from protocols.voxcpm.connection import serve
from protocols.voxcpm.http import http_routes
from protocols.voxcpm.metrics import VoxCPMMetrics
from protocols.voxcpm.remote_recordings import RemoteRecordings
from protocols.voxcpm.request import MAX_WHOLE_ANSWER_BYTES, SharedState
from protocols.voxcpm.settings import VoxCPMSettings
from protocols.voxcpm.voice_folder import VoiceFolder
from speech.service import SpeechService

__all__ = ["PATH", "VoxCPMSettings", "routes"]

PATH = "/tts"


def routes(service: SpeechService, settings: VoxCPMSettings, metrics: VoxCPMMetrics) -> list[BaseRoute]:
    """The protocol's routes, spoken by ``service``."""
    folder = VoiceFolder(settings.voice_dir)
    house = SharedState(
        service,
        settings,
        metrics,
        folder,
        RemoteRecordings(settings.recording_hosts),
        MemoryBudget(MAX_WHOLE_ANSWER_BYTES, alternative="use mode 'streaming'"),
    )

    async def speaking(websocket: WebSocket) -> None:
        await serve(websocket, house)

    return [WebSocketRoute(PATH, speaking), *http_routes(service, settings, folder)]
