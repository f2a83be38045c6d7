"""Description of Kani's protocol for the server."""

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, built_by, compat_port


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


PROTOCOL = ProtocolPlugin("kani", Settings, built_by("kani.protocols.kani.protocol:protocol"))
