"""Python environments of other makers' packages: whether a worker can run in one."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from kani.core.errors import EngineUnavailable
from kani.runtime.extras import INSTALLED

OLDEST = (3, 11)
"""Oldest Python that this server's code runs on."""

_TIMEOUT_S = 60.0
_PROBE = (
    "import sys, importlib.util as u; print(*sys.version_info[:2], "
    "*(name for name in sys.argv[1:] if u.find_spec(name) is None))"
)


@dataclass(frozen=True, slots=True)
class PackageEnvironment:
    """An environment that a package needs for itself."""

    engine: str
    """Name of the engine in messages, "VoxCPM"."""
    package: str
    """Name of the package, and of the environment's folder in messages."""
    modules: Sequence[str]
    """Modules that the worker imports there."""
    requirements: str
    """File of a checkout that lists the packages."""
    packages: str
    """The same as arguments of pip, where there is no checkout."""
    variable: str
    """Setting that names its python."""

    def check(self, python: str) -> None:
        """Check that ``python`` can run the worker; imports none of the packages.

        Raises EngineUnavailable with the command that installs what is missing.
        """
        try:
            found = subprocess.run(  # noqa: S603 - an interpreter that the operator has named
                [python, "-P", "-c", _PROBE, *self.modules],
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
                f"{self.variable} has to name the python of an environment with the package {self.package}"
            ) from error
        if version < OLDEST:
            raise EngineUnavailable(
                f"{python} is Python {major}.{minor}: the {self.engine} engine needs 3.11 or later "
                f"({self.variable})"
            )
        if missing:
            raise EngineUnavailable(
                f"the {self.engine} engine needs {' and '.join(missing)}: {self._cure(python)}"
            )

    def _cure(self, python: str) -> str:
        """Return the command that installs the package, in an environment of its own."""
        name = self.package
        packages = self.packages if INSTALLED else f"-r {self.requirements}"
        return (
            f"python3 -m venv {name} && {name}/bin/pip install {packages}, and "
            f"{self.variable}={name}/bin/python (now it is {python})"
        )
