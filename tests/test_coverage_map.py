"""tests/README.md names the tests of every module, and no file that is not there."""

from __future__ import annotations

from tests.coverage_map import MAX_FILES, README, ROOT, modules, rows


def test_readme_names_the_tests_of_each_module() -> None:
    named = rows(README.read_text(encoding="utf-8"))
    assert set(modules()) - named.keys() == set(), "add a row with their tests"
    assert named.keys() - set(modules()) == set(), "take out the rows of modules that are gone"
    missing = [f"{module}: {file}" for module, files in named.items() for file in files if not is_test(file)]
    assert missing == [], "name tests that are there"
    assert max(map(len, named.values())) <= MAX_FILES


def is_test(file: str) -> bool:
    """True for a file of tests, or a folder of them."""
    path = ROOT / "tests" / file
    return path.is_dir() if file.endswith("/") else path.is_file() and path.name.startswith("test_")
