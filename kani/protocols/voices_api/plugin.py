"""Description of the calls for voices for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings

if TYPE_CHECKING:
    from kani.protocols.shared.protocol import Protocol


def _build(_: PluginSettings, server: ServerSettings) -> Protocol:
    from kani.protocols.voices_api.protocol import protocol

    return protocol()


PROTOCOL = ProtocolPlugin("voices_api", PluginSettings, _build)
