"""Environments with some of this environment's packages, linked instead of installed."""

import sys
import sysconfig
import venv
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement


def requirements(file: Path) -> list[Requirement]:
    """Return the requirements that a file lists itself, without those of files it includes."""
    lines = (line.partition("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def linked_environment(folder: Path, wanted: Iterable[Requirement]) -> Path:
    """Make a virtual environment with the wanted packages and all that they need; return its python."""
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("platlib", scheme="venv", vars=scheme))
    for name in _with_dependencies(wanted):
        package = distribution(name)
        for top in {
            file.parts[0] for file in package.files or () if file.parts[0] not in ("..", "__pycache__")
        }:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(package.locate_file(top))).resolve())
    return folder / "bin" / Path(sys.executable).name


def _with_dependencies(wanted: Iterable[Requirement]) -> set[str]:
    """Return the names of the packages that an installation of the requirements brings."""
    found: set[tuple[str, str]] = set()  # a package and one of its extras, or ""
    waiting = [*wanted]
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) in found or not _applies(requirement, ""):
                continue
            found.add((requirement.name, extra))
            needed = map(Requirement, distribution(requirement.name).requires or ())
            waiting += [each for each in needed if _applies(each, extra)]
    return {name for name, _ in found}


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})
