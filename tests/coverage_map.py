"""Writes tests/README.md: the test files that cover each module of the product.

    python -m pytest --cov --cov-context=test && python -m tests.coverage_map

A module's files are those that run most of its functions' lines, the ones with few other modules first. The
row of a module that the run did not reach stays as it is in the README: only the other tiers, or a person,
know its tests. A module without a row gets the files that import it.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "tests" / "README.md"

MAX_FILES = 3
"""Files named for a module."""

LEAST_SHARE = 0.05
"""Share of a module's lines that a further file has to add."""

IMPORT_BONUS = 3.0
"""A file that imports the module counts for so many that only come through it."""

Lines = dict[str, set[int]]
"""Lines of a module by the test file that runs them."""

_ROW = re.compile(r"^\| (?P<module>\S+) \| (?P<tests>.*) \|$")
_FOLDER = re.compile(r"^### `(?P<folder>kani\S*)/`$")


def modules() -> list[str]:
    """The product's modules as paths; those that hold nothing but a docstring are left out."""
    found = sorted(ROOT.glob("kani/**/*.py"))
    return [str(path.relative_to(ROOT)) for path in found if len(ast.parse(path.read_bytes()).body) > 1]


def rows(readme: str) -> dict[str, list[str]]:
    """The test files of each module, as a README names them."""
    found: dict[str, list[str]] = {}
    folder = ""
    for line in readme.splitlines():
        if heading := _FOLDER.match(line):
            folder = heading["folder"]
        elif folder and (row := _ROW.match(line)) and row["module"] not in ("module", "---"):
            found[f"{folder}/{row['module']}"] = re.findall("`([^`]+)`", row["tests"])
    return found


def function_lines(source: bytes) -> set[int]:
    """Lines inside functions: the others run when a module is imported, by whichever test comes first."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside |= {line for each in node.body for line in range(each.lineno, (each.end_lineno or 0) + 1)}
    return inside


def covered(data_file: Path) -> dict[str, Lines]:
    """Lines of each module by test file, out of coverage's data with a context for each test."""
    from coverage import CoverageData

    data = CoverageData(str(data_file))
    data.read()
    found: dict[str, Lines] = {}
    for name in data.measured_files():
        path = Path(name)
        module = name[name.rfind("/kani/") + 1 :]
        if "/kani/" not in name or not (ROOT / module).exists():
            continue
        inside = function_lines(path.read_bytes() if path.exists() else (ROOT / module).read_bytes())
        lines: Lines = defaultdict(set)
        for line, contexts in data.contexts_by_lineno(name).items():
            if line in inside:
                for context in contexts:
                    if context.startswith("tests/"):
                        lines[context.partition("::")[0].removeprefix("tests/")].add(line)
        found[module] = lines
    return found


def importers() -> dict[str, Counter[str]]:
    """Test files that import each module, with the number of names."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for module in _imported(path):
            for name in (f"{module}.py", f"{module}/__init__.py"):
                found[name][str(path.relative_to(ROOT / "tests"))] += 1
    return found


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.replace(".", "/") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            module = node.module.replace(".", "/")
            yield from (each for alias in node.names for each in (module, f"{module}/{alias.name}"))


def best(lines: Lines, importing: Counter[str], breadth: Mapping[str, int]) -> list[str]:
    """The files to name for a module; breadth: lines of all modules that a file runs."""
    chosen: list[str] = []
    left = set().union(*lines.values()) if lines else set()
    least = LEAST_SHARE * len(left)
    while left and len(chosen) < MAX_FILES:
        score, file = max(
            (len(mine & left) / breadth[file] ** 0.5 * (IMPORT_BONUS if file in importing else 1.0), file)
            for file, mine in lines.items()
        )
        if not score or (chosen and len(lines[file] & left) < least):
            break
        chosen.append(file)
        left -= lines[file]
    return chosen


def _kinship(module: str, file: str) -> int:
    """How much the paths of a module and of a file that imports it have in common."""
    place, test = Path(module).relative_to("kani"), Path(file)
    same = [place.parent == test.parent, place.stem in test.stem, place.parts[0] == test.parts[0]]
    return sum(weight * found for weight, found in zip((2, 3, 1), same, strict=True))


def table(tests: Mapping[str, list[str]]) -> str:
    """The tables, one for each folder."""
    folders: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        folder, _, name = module.rpartition("/")
        named = ", ".join(f"`{file}`" for file in tests.get(module, []))
        folders[folder].append(f"| {name} | {named} |")
    return "\n".join(
        "\n".join([f"### `{folder}/`", "", "| module | tests |", "| --- | --- |", *found, ""])
        for folder, found in folders.items()
    )


def main() -> None:
    """Rewrite the README's tables; print the modules that have no test yet."""
    readme = README.read_text(encoding="utf-8")
    data = ROOT / ".coverage"
    measured, importing = covered(data) if data.exists() else {}, importers()
    breadth: Counter[str] = Counter()
    for lines in measured.values():
        breadth.update({file: len(mine) for file, mine in lines.items()})
    tests = rows(readme)
    for module in modules():
        if found := best(measured.get(module, {}), importing[module], breadth):
            tests[module] = found
        elif not tests.get(module):
            tests[module] = sorted(importing[module], key=lambda file: -_kinship(module, file))[:2]
    before = readme[: readme.index("### `kani")] if "### `kani" in readme else readme.rstrip() + "\n\n"
    README.write_text(before + table(tests).rstrip() + "\n", encoding="utf-8")
    print("without a test:", *(module for module in modules() if not tests.get(module)), sep="\n  ")


if __name__ == "__main__":
    main()
