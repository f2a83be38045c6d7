"""Description of VoxCPM for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.voxcpm.settings import VoxCPMSettings

if TYPE_CHECKING:
    from kani.engines.voxcpm.engine import VoxCPMEngine


def build(settings: VoxCPMSettings, resources: Resources) -> VoxCPMEngine:
    """Build the engine; its start starts the process of its package."""
    from kani.engines.voxcpm.engine import VoxCPMEngine

    return VoxCPMEngine(settings, resources)


ENGINE = EnginePlugin("voxcpm", VoxCPMSettings, build, own_process=False)
