"""Description of ElevenLabs' service, as an engine, for the server."""

from typing import Annotated

from pydantic import BeforeValidator, SecretStr

from kani.engines.plugin import EnginePlugin, later
from kani.engines.plugin_settings import PluginSettings, setting, web_address

UPSTREAM = "ElevenLabs' own voices"


class UpstreamSettings(PluginSettings):
    """An account of ElevenLabs, and how its service is used; frozen."""

    api_key: SecretStr | None = setting(
        None,
        "KANI_ELEVENLABS_API_KEY",
        "ELEVEN_API_KEY",
        group=UPSTREAM,
        after="llm_early",
        option=False,
        about="Key of an ElevenLabs account, for KANI_ENGINE=elevenlabs. Never printed or logged; without "
        "that engine it sends nothing anywhere.",
    )
    voice_id: str | None = setting(
        None,
        "KANI_ELEVENLABS_VOICE_ID",
        "ELEVEN_VOICE_ID",
        option=False,
        pattern=r"^[^\s/?#%]{1,72}$",
        accepts="a voice's id: 1 to 72 characters, no space among them",
        about="The account's voice for requests without one. With another engine, the relay's voice of this "
        "server; an id of ElevenLabs' means the relay's default voices there.",
    )
    model: str = setting(
        "eleven_flash_v2_5",
        "KANI_ELEVENLABS_MODEL",
        "ELEVEN_MODEL",
        option=False,
        pattern=r"^[a-z0-9_]{1,64}$",
        accepts="a model's id: 1 to 64 small letters, digits and _",
        about="ElevenLabs' model.",
    )
    optimize_latency: int = setting(
        1,
        "KANI_ELEVENLABS_OPTIMIZE_LATENCY",
        "ELEVEN_OPTIMIZE_LATENCY",
        option=False,
        ge=0,
        le=4,
        about="Quality that ElevenLabs trades for earlier first audio.",
    )
    url: Annotated[str, BeforeValidator(web_address)] = setting(
        "https://api.elevenlabs.io",
        "KANI_ELEVENLABS_URL",
        option=False,
        about="Where ElevenLabs is: one of its regions' addresses.",
    )


ENGINE = EnginePlugin(
    "elevenlabs",
    UpstreamSettings,
    later("kani.engines.elevenlabs.engine:ElevenLabsEngine"),
    own_process=False,
    takes_model=False,
)
