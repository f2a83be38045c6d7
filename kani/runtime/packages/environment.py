"""Python environments of other makers' packages: made on request, and whether a worker can run in one."""

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

TORCH_SIZE = "mostly torch: some 5 GB on Linux, where PyPI's brings CUDA"

_PYTHONS = "KANI_PYTHONS"  # names pythons by engines
LISTED = "installed.txt"  # in an environment: its packages, written once all are there
_TIMEOUT_S, _INSTALL_TIMEOUT_S = 60.0, 3600.0
_PROBE = """
import sys, importlib.metadata as m, importlib.util as u
def version(name):
    try:
        return m.version(name)
    except m.PackageNotFoundError:
        return "none"

modules, pinned = sys.argv[1].split(), sys.argv[2].split()
found = [name + "==" + version(name) for name in (one.partition("==")[0] for one in pinned)]
print(*sys.version_info[:2], *(name for name in modules if u.find_spec(name) is None))
print(*(one for one in found if one not in pinned))
"""


@dataclass(frozen=True, slots=True)
class PackageEnvironment:
    """An environment that a package needs for itself."""

    engine: str
    """Name of the engine, "VoxCPM": ``requirements/voxcpm.txt`` lists its packages."""
    modules: Sequence[str]
    """Modules that the worker imports there."""
    packages: str
    """Arguments of pip, the package itself first."""
    size: str
    """Size on the disk, as it is told before it is made: "170 MB"."""
    licence: str
    """Licence of the package."""
    exact: bool = False
    """True if only the pinned versions of ``packages`` can be used."""

    def python_in(self, cache: Path) -> Path:
        """Return the python of the environment that ``make`` makes; it may not be there."""
        windows = sys.platform == "win32"
        return cache / "environment" / ("Scripts/python.exe" if windows else "bin/python")

    def _is_complete(self, cache: Path) -> bool:
        python = self.python_in(cache)
        listed = python.parents[1] / LISTED
        return python.is_file() and listed.is_file() and listed.read_text("utf-8") == self.packages

    def made_python(self, cache: Path) -> str | None:
        """Return the python of the environment that was made in a plugin's folder, None if there is none.

        Raises EngineUnavailable for one that is not complete, or has the packages of another version.
        """
        python = self.python_in(cache)
        if not python.is_file():
            return None
        if not self._is_complete(cache):
            raise EngineUnavailable(
                f"the environment of {self.engine} in {python.parents[1]} is not complete, or of another "
                f"version: {FETCH} with the same options completes it"
            )
        return str(python)

    def make(self, cache: Path, report: Callable[[str], None]) -> None:
        """Make the environment, or complete it; by uv where that is installed.

        cache: the plugin's folder; report: receives its size and licence before anything is fetched.
        Raises EngineUnavailable.
        """
        if self._is_complete(cache):
            return
        python, uv = self.python_in(cache), shutil.which("uv")
        folder = python.parents[1]
        (folder / LISTED).unlink(missing_ok=True)
        report(f"installing {self.packages} into {folder} ({self.size}, licence: {self.licence})")
        create = [sys.executable, "-m", "venv", str(folder)]
        install = [str(python), "-m", "pip", "install", *self.packages.split()]
        if uv is not None:
            create = [uv, "venv", "--allow-existing", "--python", sys.executable, str(folder)]
            install = [uv, "pip", "install", "--python", str(python), *self.packages.split()]
        for command in (create, install):
            try:
                subprocess.run(  # noqa: S603 - pip or uv, with the packages above
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=sys.stderr,
                    timeout=_INSTALL_TIMEOUT_S,
                    env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
                    check=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                failed = type(error).__name__
                if isinstance(error, subprocess.CalledProcessError):
                    failed = f"it ended with {error.returncode}"
                raise EngineUnavailable(
                    f"the environment of {self.engine} cannot be made in {folder} ({failed}): {self._cure()}",
                    passing=True,
                ) from error
        (folder / LISTED).write_text(self.packages, "utf-8")

    def missing(self, python: str) -> list[str]:
        """Return the modules that ``python`` lacks, and imports none. Raises EngineUnavailable."""
        return self._found(python)[1]

    def check(self, python: str) -> None:
        """Check that ``python`` can run the worker; imports none of the packages.

        Raises EngineUnavailable with the command that installs what is missing.
        """
        version, missing, others = self._found(python)
        if version < OLDEST:
            raise EngineUnavailable(
                f"{python} is Python {'.'.join(map(str, version))}: the {self.engine} engine needs 3.11 or "
                f"later ({_PYTHONS})"
            )
        fault = ""
        if missing:
            fault = f"needs {' and '.join(missing)}"
        elif others:
            fault = f"runs with {' and '.join(self._pinned())} only, and this is {' and '.join(others)}"
        if fault:
            raise EngineUnavailable(f"the {self.engine} engine {fault}: {self._cure(python)}")

    def _pinned(self) -> list[str]:
        return [one for one in self.packages.split() if self.exact and "==" in one]

    def _found(self, python: str) -> tuple[tuple[int, ...], list[str], list[str]]:
        """Return its version, the modules that it lacks, and the packages that are not of the pinned version.

        Raises EngineUnavailable.
        """
        try:
            found = subprocess.run(  # noqa: S603 - an interpreter that the operator has named
                [python, "-P", "-c", _PROBE, " ".join(self.modules), " ".join(self._pinned())],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=True,
            )
            first, others = found.stdout.splitlines()
            major, minor, *missing = first.split()
            return (int(major), int(minor)), missing, others.split()
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise EngineUnavailable(
                f"{python} cannot be run as a Python of version 3.11 or later ({type(error).__name__}): "
                f"{_PYTHONS} has to name the python of an environment with the package {self._package}"
            ) from error

    @property
    def _package(self) -> str:
        return self.packages.partition(" ")[0].partition("==")[0]

    def _cure(self, python: str = "") -> str:
        """Return the commands that install the package, in an environment of its own."""
        name = self._package
        packages = self.packages if INSTALLED else f"-r requirements/{self.engine.lower()}.txt"
        now = f" (now it is {python})" if python else ""
        return (
            f"{FETCH} with the same options makes its environment; or do it yourself: "
            f"python3 -m venv {name} && {name}/bin/pip install {packages}, "
            f"and {_PYTHONS}={self.engine.lower()}={name}/bin/python{now}"
        )
