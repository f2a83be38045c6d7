"""Description of ElevenLabs' service, as an engine, for the server."""

from kani.engines.elevenlabs.settings import UpstreamSettings
from kani.engines.plugin import EnginePlugin, later

ENGINE = EnginePlugin(
    "elevenlabs",
    UpstreamSettings,
    later("kani.engines.elevenlabs.engine:ElevenLabsEngine"),
    own_process=False,
)
