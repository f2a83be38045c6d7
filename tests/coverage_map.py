"""Writes tests/README.md: the test files of each module of the product, from what they import.

    python -m tests.coverage_map

A test file that imports a module is its test; of several, those with the nearest names. A module that no test
imports is tested through the modules that import it, the nearest first. A module that nothing imports, as a
plugin or a process's main, has the test file with the nearest name, or that of the package.
"""

from collections import defaultdict
from functools import cache
from pathlib import Path

from tests.running.sources import ROOT, files, module_name, modules_imported, source

README = ROOT / "tests" / "README.md"
HEADING = "## The tests of a module\n"

PRODUCT = {"kani": "", "kani_text": "text"}
"""The product's packages, and the folder of tests/ that mirrors each."""

MAX_FILES = 3
"""Files named for a module."""


def modules() -> list[Path]:
    """The product's modules; those that hold nothing but a docstring are left out."""
    found = (path for room in PRODUCT for path in sorted((ROOT / room).rglob("*.py")))
    return [path for path in found if source(path).statements > 1]


@cache
def importers() -> dict[str, set[Path]]:
    """Files of the product and of the tests that import each module."""
    found: dict[str, set[Path]] = defaultdict(set)
    for path in files().values():
        if path.relative_to(ROOT).parts[0] not in ("benchmarks", "tools"):
            for name in modules_imported(path):
                found[name].add(path)
    return found


def files_for(module: Path) -> list[Path]:
    """The test files of a module, at most MAX_FILES."""
    reached, seen = {module}, {module}
    while reached:
        if found := [path for path in reached if path in test_files()]:
            nearest = sorted(found, key=lambda path: (-_kinship(module, path), path))
            kin = [path for path in nearest if _kinship(module, path)]
            return (kin or nearest)[:MAX_FILES]
        reached = set().union(*(importers()[module_name(path)] for path in reached)) - seen
        seen |= reached
    nearest = max(test_files(), key=lambda path: _kinship(module, path))
    return [nearest if _kinship(module, nearest) else ROOT / "tests" / "test_package.py"]


@cache
def test_files() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_*.py"))


def _kinship(module: Path, test: Path) -> int:
    """How much the paths of a module and of a test have in common: folders, then words.

    In one and the same folder the name of the module counts the most.
    """
    package, *inside = module.relative_to(ROOT).parts
    place, room = (*filter(None, [PRODUCT[package]]), *inside), test.relative_to(ROOT / "tests").parts
    shared = next((at for at, (mine, its) in enumerate(zip(place, room, strict=False)) if mine != its), 0)
    words = _words(*place) & _words(*room)
    namesake = test.stem == f"test_{module.stem}" and shared == len(room) - 1
    return 3 * shared + 2 * len(words) + 4 * namesake


def _words(*parts: str) -> set[str]:
    return {word for part in parts for word in part.removesuffix(".py").split("_")} - {"test", "", "init"}


def table() -> str:
    folders: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        named = ", ".join(f"`{file.relative_to(ROOT / 'tests')}`" for file in files_for(module))
        folders[str(module.parent.relative_to(ROOT))].append(f"| {module.name} | {named} |")
    return "\n".join(
        "\n".join([f"### `{folder}/`", "", "| module | tests |", "| --- | --- |", *found, ""])
        for folder, found in folders.items()
    )


def readme() -> str:
    """The whole README with the tables as they are to be."""
    before = README.read_text(encoding="utf-8").partition(HEADING)[0]
    return f"""{before}{HEADING}
At most {MAX_FILES} files a module, the nearest first, from what the tests import.
`python -m tests.coverage_map` writes the tables.

{table()}"""


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
