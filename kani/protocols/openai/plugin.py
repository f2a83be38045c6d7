"""Description of OpenAI's audio API for the server."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, built_by

PROTOCOL = ProtocolPlugin("openai", PluginSettings, built_by("kani.protocols.openai.protocol:protocol"))
