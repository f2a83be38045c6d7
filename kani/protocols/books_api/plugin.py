"""Description of the calls for books for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings

if TYPE_CHECKING:
    from kani.protocols.shared.protocol import Protocol


def _build(_: PluginSettings, server: ServerSettings) -> Protocol:
    from kani.protocols.books_api.protocol import protocol

    return protocol()


PROTOCOL = ProtocolPlugin("books_api", PluginSettings, _build)
