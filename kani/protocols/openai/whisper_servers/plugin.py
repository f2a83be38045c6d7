"""Description of other Whisper servers' calls for the server."""

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, built_by

PROTOCOL = ProtocolPlugin(
    "whisper_servers", PluginSettings, built_by("kani.protocols.openai.whisper_servers.protocol:protocol")
)
