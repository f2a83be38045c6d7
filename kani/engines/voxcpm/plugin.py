"""Description of VoxCPM for the server."""

from __future__ import annotations

from kani.engines.packages.package import Package, later
from kani.engines.plugin import EnginePlugin
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
        size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
        licence="Apache-2.0",
    ),
    "kani.engines.voxcpm.adapter:VoxCPM",
    later("kani.engines.voxcpm.checkpoint:find"),
    on_cuda=("nanovllm_voxcpm", "kani.engines.voxcpm.nano_vllm:NanoVLLM"),
)


ENGINE = EnginePlugin("voxcpm", VoxCPMSettings, PACKAGE.engine, PACKAGE.prepare, own_process=False)
