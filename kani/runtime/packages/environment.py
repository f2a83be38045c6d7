"""Python environments of other makers' packages: made on request, and whether a worker can run in one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.runtime.extras import FETCH, INSTALLED

OLDEST = (3, 11)
"""Oldest Python that this server's code runs on."""

LISTED = "installed.txt"  # in an environment: its packages, written once all are there
_TIMEOUT_S, _INSTALL_TIMEOUT_S = 60.0, 3600.0
_PROBE = """
import sys, importlib.metadata as m, importlib.util as u
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return "none"

modules, exact = sys.argv[1].split(), sys.argv[2].split()
print(*sys.version_info[:2], *(name for name in modules if u.find_spec(name) is None))
print(*(name + "==" + version(name) for name in exact))
"""


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
    size: str
    """Size on the disk, as it is told before it is made: "6 GB with PyPI's torch on Linux"."""
    licence: str
    """Licence of the package."""
    exact: Sequence[str] = ()
    """Packages that have to be of the version that ``packages`` names: others compute otherwise."""

    def python_in(self, cache: Path) -> Path:
        """Return the python of the environment that ``make`` makes; it may not be there."""
        windows = sys.platform == "win32"
        return cache / "environment" / ("Scripts/python.exe" if windows else "bin/python")

    def make(self, cache: Path, report: Callable[[str], None]) -> None:
        """Make the environment, or complete it; by uv where that is installed.

        cache: the plugin's folder; report: receives its size and licence before anything is fetched.
        Raises EngineUnavailable.
        """
        python, uv = self.python_in(cache), shutil.which("uv")
        folder, listed = python.parents[1], python.parents[1] / LISTED
        if python.is_file() and listed.is_file() and listed.read_text("utf-8") == self.packages:
            return
        listed.unlink(missing_ok=True)
        report(f"installing {self.packages} into {folder} ({self.size}, licence: {self.licence})")
        create = [uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--python", str(python), *self.packages.split()]
        if uv is None:
            create = [sys.executable, "-m", "venv", str(folder)]
            install = [str(python), "-m", "pip", "install", *self.packages.split()]
        for command in (create, install):
            self._run(command, folder)
        listed.write_text(self.packages, "utf-8")

    def _run(self, command: Sequence[str | None], folder: Path) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - pip or uv, with the packages above
                [part for part in command if part is not None],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                timeout=_INSTALL_TIMEOUT_S,
                env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
                check=False,
            )
            failed = f"it ended with {done.returncode}" if done.returncode else ""
        except (OSError, subprocess.SubprocessError) as error:
            failed = type(error).__name__
        if failed:
            raise EngineUnavailable(
                f"the environment of {self.engine} cannot be made in {folder} ({failed}): {self._cure('')}",
                passing=True,
            )

    def missing(self, python: str) -> list[str]:
        """Return the modules that ``python`` lacks, and imports none. Raises EngineUnavailable."""
        return self._found(python)[1]

    def check(self, python: str) -> None:
        """Check that ``python`` can run the worker; imports none of the packages.

        Raises EngineUnavailable with the command that installs what is missing.
        """
        (major, minor), missing, versions = self._found(python)
        if (major, minor) < OLDEST:
            raise EngineUnavailable(
                f"{python} is Python {major}.{minor}: the {self.engine} engine needs 3.11 or later "
                f"({self.variable})"
            )
        if missing:
            raise EngineUnavailable(
                f"the {self.engine} engine needs {' and '.join(missing)}: {self._cure(python)}"
            )
        wanted = self.packages.split()
        if other := [one for one in versions if one not in wanted]:
            right = [one for one in wanted if one.partition("==")[0] in self.exact]
            raise EngineUnavailable(
                f"the {self.engine} engine runs with {' and '.join(right)} only, and this is "
                f"{' and '.join(other)}: {self._cure(python)}"
            )

    def _found(self, python: str) -> tuple[tuple[int, int], list[str], list[str]]:
        """Return its version, the modules that it lacks, and the versions of ``exact``.

        Raises EngineUnavailable.
        """
        try:
            found = subprocess.run(  # noqa: S603 - an interpreter that the operator has named
                [python, "-P", "-c", _PROBE, " ".join(self.modules), " ".join(self.exact)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=True,
            )
            first, versions = found.stdout.splitlines()
            major, minor, *missing = first.split()
            return (int(major), int(minor)), missing, versions.split()
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise EngineUnavailable(
                f"{python} cannot be run as a Python of version 3.11 or later ({type(error).__name__}): "
                f"{self.variable} has to name the python of an environment with the package {self.package}"
            ) from error

    def _cure(self, python: str) -> str:
        """Return the commands that install the package, in an environment of its own."""
        name = self.package
        packages = self.packages if INSTALLED else f"-r {self.requirements}"
        now = f" (now it is {python})" if python else ""
        return (
            f"{FETCH} with the same options makes its environment; or do it yourself: "
            f"python3 -m venv {name} && {name}/bin/pip install {packages}, "
            f"and {self.variable}={name}/bin/python{now}"
        )
