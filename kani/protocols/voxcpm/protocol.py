"""VoxCPM's protocol as the server mounts it."""

import logging
from functools import partial

from starlette.routing import BaseRoute, WebSocketRoute

from kani.protocols.shared.plugin import ServerSettings
from kani.protocols.shared.protocol import CompatPort, Context, Protocol
from kani.protocols.voxcpm.calls import call_group
from kani.protocols.voxcpm.connection import serve
from kani.protocols.voxcpm.http import http_routes
from kani.protocols.voxcpm.plugin import Settings
from kani.protocols.voxcpm.remote_recordings import RemoteRecordings
from kani.protocols.voxcpm.request import SharedState
from kani.protocols.voxcpm.voice_folder import VoiceFolder

log = logging.getLogger(__package__)

PATH = "/tts"
MAX_TEXT = 5000
PORTS = (
    CompatPort("voxcpm_port", "ws", "VoxCPM", PATH),
    CompatPort("voxcpm_port", "http", "VoxCPM's page", after=1),
)
"""The ports of the VoxCPM server and of its page."""

MAX_MESSAGE_BYTES = 1 << 20
"""Limit of the VoxCPM server on a message of its WebSocket."""


def protocol(settings: Settings, server: ServerSettings) -> Protocol:
    """Return the protocol, with the VoxCPM server's ports and limit on messages."""
    max_text, voice_dir = server.max_text or MAX_TEXT, settings.voice_dir

    def routes(context: Context) -> list[BaseRoute]:
        if voice_dir is not None and not voice_dir.is_dir():
            log.warning("there is no voice folder %s (KANI_VOICE_DIR)", voice_dir)
        folder = VoiceFolder(voice_dir)
        ports = [context.ports[port.name] for port in PORTS if port.name in context.ports]
        shared = SharedState(context.service, max_text, folder, RemoteRecordings(settings.recording_hosts))
        speech = WebSocketRoute(PATH, partial(serve, shared=shared))
        return [speech, *http_routes(context.service, max_text, folder, ports)]

    return Protocol(routes, ports=PORTS, max_message={PATH: MAX_MESSAGE_BYTES}, calls=call_group)
