"""Description of Kyutai's protocol for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings, compat_port

if TYPE_CHECKING:
    from kani.protocols.shared.protocol import Protocol


class Settings(PluginSettings):
    """Settings of Kyutai's protocol, frozen."""

    port: int = compat_port(
        8080,
        "KANI_KYUTAI_PORT",
        "PORT",
        after="rest_port",
        about="Port for clients of Kyutai's server and for the relay's app, which asks for its token there, "
        "opened with KANI_COMPAT; 0 takes a free one. Clients of Kyutai's voice cloning look for the port "
        "12 above it.",
    )


def _build(_: Settings, server: ServerSettings) -> Protocol:
    from kani.protocols.kyutai.protocol import protocol

    return protocol(server.version)


PROTOCOL = ProtocolPlugin("kyutai", Settings, _build)
