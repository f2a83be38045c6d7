"""Description of ElevenLabs' service, as an engine, for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.elevenlabs.settings import UpstreamSettings
from kani.engines.plugin import EnginePlugin, Resources

if TYPE_CHECKING:
    from kani.engines.elevenlabs.engine import ElevenLabsEngine


def build(settings: UpstreamSettings, resources: Resources) -> ElevenLabsEngine:
    """Build the engine, with its metrics and the engine that it falls back to."""
    from kani.engines.elevenlabs.engine import ElevenLabsEngine
    from kani.engines.upstream.metrics import UpstreamMetrics

    assert resources.host is not None  # it is always built in the server's process
    fallback = None if settings.fallback == "none" else resources.host.engine(settings.fallback)
    return ElevenLabsEngine(
        settings, UpstreamMetrics(resources.host.metrics, ENGINE.name, "ElevenLabs"), fallback
    )


ENGINE = EnginePlugin("elevenlabs", UpstreamSettings, build, own_process=False)
