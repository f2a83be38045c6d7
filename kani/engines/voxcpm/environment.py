"""The Python environment of VoxCPM's package: whether a worker can run in it."""

from __future__ import annotations

import subprocess

from kani.core.errors import EngineUnavailable
from kani.runtime.child_process import INSTALLED

REQUIREMENTS = "requirements-voxcpm.txt"
OLDEST = (3, 11)
"""Oldest Python that this server's code runs on."""

_TIMEOUT_S = 60.0
_MODULES = ("msgspec", "numpy", "torch", "voxcpm")
_PROBE = (
    "import sys, importlib.util as u; print(*sys.version_info[:2], "
    f"*(name for name in {_MODULES!r} if u.find_spec(name) is None))"
)


def check(python: str) -> None:
    """Check that ``python`` can run the worker; imports none of the packages.

    Raises EngineUnavailable with the command that installs what is missing.
    """
    try:
        found = subprocess.run(  # noqa: S603 - an interpreter that the operator has named
            [python, "-P", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        major, minor, *missing = found.stdout.split()
        version = int(major), int(minor)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise EngineUnavailable(
            f"{python} cannot be run as a Python of version 3.11 or later ({type(error).__name__}): "
            "KANI_VOXCPM_PYTHON has to name the python of an environment with the package voxcpm"
        ) from error
    if version < OLDEST:
        raise EngineUnavailable(
            f"{python} is Python {major}.{minor}: the VoxCPM engine needs 3.11 or later (KANI_VOXCPM_PYTHON)"
        )
    if missing:
        raise EngineUnavailable(f"the VoxCPM engine needs {' and '.join(missing)}: {_cure(python)}")


def _cure(python: str) -> str:
    """Return the command that installs the package, in an environment of its own."""
    packages = "voxcpm==2.0.3 msgspec" if INSTALLED else f"-r {REQUIREMENTS}"
    return (
        f"python3 -m venv voxcpm && voxcpm/bin/pip install {packages}, and "
        f"KANI_VOXCPM_PYTHON=voxcpm/bin/python (now it is {python})"
    )
