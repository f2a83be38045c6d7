"""Description of Pocket TTS for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.pocket.settings import PocketSettings

if TYPE_CHECKING:
    from kani.engines.pocket.engine import PocketEngine


def build(settings: PocketSettings, resources: Resources) -> PocketEngine:
    """Build the engine; torch is imported by its start."""
    from kani.engines.pocket.engine import PocketEngine

    return PocketEngine(settings, resources)


ENGINE = EnginePlugin("pocket", PocketSettings, build)
