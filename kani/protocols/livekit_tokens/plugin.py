"""Description of the calls for LiveKit's tokens for the server."""

from pydantic import SecretStr

from kani.engines.plugin_settings import PluginSettings, setting
from kani.protocols.shared.plugin import ProtocolPlugin, built_by

LIVEKIT = "LiveKit"


class Settings(PluginSettings):
    """Address and credentials of a LiveKit server, frozen."""

    url: str | None = setting(
        None,
        "KANI_LIVEKIT_URL",
        "LIVEKIT_URL",
        group=LIVEKIT,
        after="relay_logs",
        option=False,
        pattern=r"^(wss?|https?)://[^\s/]+/?$",
        about="LiveKit server for the clients of `/token` (`wss://rooms.example`).",
    )
    api_key: str | None = setting(
        None,
        "KANI_LIVEKIT_API_KEY",
        "LIVEKIT_API_KEY",
        option=False,
        repr=False,
        min_length=1,
        about="Name of the key that its tokens are signed with.",
    )
    api_secret: SecretStr | None = setting(
        None,
        "KANI_LIVEKIT_API_SECRET",
        "LIVEKIT_API_SECRET",
        option=False,
        about="That key's secret, 32 characters or more (a shorter one works, with a warning). Never "
        "printed or logged.",
    )


PROTOCOL = ProtocolPlugin(
    "livekit_tokens", Settings, built_by("kani.protocols.livekit_tokens.protocol:protocol")
)
