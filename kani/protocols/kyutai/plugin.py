"""Description of Kyutai's protocol for the server."""

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, built_by, compat_port


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


PROTOCOL = ProtocolPlugin("kyutai", Settings, built_by("kani.protocols.kyutai.protocol:protocol"))
