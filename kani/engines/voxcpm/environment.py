"""The Python environment of VoxCPM's package."""

from __future__ import annotations

from kani.runtime.packages.environment import PackageEnvironment

REQUIREMENTS = "requirements-voxcpm.txt"

ENVIRONMENT = PackageEnvironment(
    engine="VoxCPM",
    package="voxcpm",
    modules=("msgspec", "numpy", "torch", "voxcpm"),
    requirements=REQUIREMENTS,
    packages="voxcpm==2.0.3 msgspec",
    variable="KANI_VOXCPM_PYTHON",
)
