"""Description of the Kani model for the server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kani.engines.kani.cuda_driver import cuda_device_count
from kani.engines.kani.settings import KaniSettings
from kani.engines.plugin import EnginePlugin, Resources

if TYPE_CHECKING:
    from kani.engines.kani.engine import KaniEngine


def build(settings: KaniSettings, resources: Resources) -> KaniEngine:
    """Build the engine; torch is imported by its start."""
    from kani.engines.kani.engine import KaniEngine

    return KaniEngine(settings, resources)


def joins(settings: KaniSettings, resources: Resources) -> tuple[KaniSettings, Resources] | None:
    """Run on a CUDA device, never on the CPU: there it would be slower than the voice that it replaces."""
    if not cuda_device_count():
        return None
    return settings, replace(resources, device="cuda" if resources.device == "auto" else resources.device)


ENGINE = EnginePlugin("kani", KaniSettings, build, joins=joins)
