"""Description of VoxCPM for the server."""

from __future__ import annotations

from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.package import Package
from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.voxcpm import checkpoint
from kani.engines.voxcpm.settings import VoxCPMSettings
from kani.runtime.packages.environment import PackageEnvironment

PACKAGE = Package(
    "voxcpm",
    PackageEnvironment(
        engine="VoxCPM",
        package="voxcpm",
        modules=("msgspec", "numpy", "torch", "voxcpm"),
        requirements="requirements-voxcpm.txt",
        packages="voxcpm==2.0.3 msgspec",
        variable="KANI_VOXCPM_PYTHON",
        size="some 6 GB with PyPI's torch on Linux",
        licence="Apache-2.0",
    ),
    "kani.engines.voxcpm.adapter:VoxCPM",
    checkpoint.find,
    on_cuda=("nanovllm_voxcpm", "kani.engines.voxcpm.nano_vllm:NanoVLLM"),
)


def build(settings: VoxCPMSettings, resources: Resources) -> PackageEngine:
    """Build the engine; its start starts the process of its package."""
    return PackageEngine(PACKAGE, settings, resources)


ENGINE = EnginePlugin("voxcpm", VoxCPMSettings, build, PACKAGE.prepare, own_process=False)
