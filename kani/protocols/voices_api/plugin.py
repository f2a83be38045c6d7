"""Description of the calls for voices for the server."""

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, built_by

PROTOCOL = ProtocolPlugin(
    "voices_api", PluginSettings, built_by("kani.protocols.voices_api.protocol:protocol")
)
