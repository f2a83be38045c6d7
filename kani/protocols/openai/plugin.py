"""Description of OpenAI's audio API for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, ServerSettings

if TYPE_CHECKING:
    from kani.protocols.shared.protocol import Protocol

MAX_TEXT = 100_000


def _build(_: PluginSettings, server: ServerSettings) -> Protocol:
    from kani.protocols.openai.protocol import protocol

    return protocol(server.max_text or MAX_TEXT, server.setting("llm_instructions"))


PROTOCOL = ProtocolPlugin("openai", PluginSettings, _build)
