"""Description of ElevenLabs' service, as an engine, for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.elevenlabs.settings import UpstreamSettings
from kani.engines.plugin import EnginePlugin, Resources

if TYPE_CHECKING:
    from kani.engines.elevenlabs.engine import ElevenLabsEngine


def build(settings: UpstreamSettings, resources: Resources) -> ElevenLabsEngine:
    from kani.engines.elevenlabs.engine import ElevenLabsEngine
    from kani.engines.upstream.fallback import fallback_engine
    from kani.engines.upstream.metrics import UpstreamMetrics

    assert resources.host is not None  # it is always built in the server's process
    metrics = UpstreamMetrics(resources.host.metrics, ENGINE.name, "ElevenLabs")
    return ElevenLabsEngine(settings, metrics, fallback_engine(resources))


ENGINE = EnginePlugin("elevenlabs", UpstreamSettings, build, own_process=False)
