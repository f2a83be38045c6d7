"""Description of Kani's protocol for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings, compat_port

if TYPE_CHECKING:
    from kani.protocols.shared.protocol import Protocol


class Settings(PluginSettings):
    """Settings of Kani's protocol, frozen."""

    rest_port: int = compat_port(
        8000,
        "KANI_REST_PORT",
        after="compat",
        about="Port for clients of Kani's original HTTP server and for its page, opened with KANI_COMPAT; 0 "
        "takes a free one. A page that is opened from a file has the origin `null`, which "
        "KANI_ALLOWED_ORIGINS has to list.",
    )


def _build(_: Settings, server: ServerSettings) -> Protocol:
    from kani.core.request import MAX_TEXT
    from kani.protocols.kani.protocol import protocol

    return protocol(server.max_text or MAX_TEXT)


PROTOCOL = ProtocolPlugin("kani", Settings, _build)
