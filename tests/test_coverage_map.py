"""tests/README.md names the tests of every module, and no file that is not there."""

from tests.coverage_map import README, readme


def test_readme_names_the_tests_of_each_module() -> None:
    """`python -m tests.coverage_map` writes it."""
    assert README.read_text(encoding="utf-8") == readme()
