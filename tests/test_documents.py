"""Files and programs that README and the benchmarks' page name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engines import weights

ROOT = Path(__file__).parent.parent
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_readme_says_how_to_install_without_the_packages_of_the_weights():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^grep -v (.*) requirements\.txt > rest\.txt$", readme, re.M)
    patterns = command.removeprefix("-e ").split(" -e ")
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if line and not line.startswith("#")]
    left_out = {line for line in pinned if any(pattern in line for pattern in patterns)}
    weight_files = (weights.KOKORO, *weights.WHISPER_BASE)
    assert left_out == {name for weight in weight_files for name in weight.requirement.split()}
    assert all(weight.url for weight in weight_files)


def requirements(file: str) -> list[str]:
    """The lines of a requirements file, without comments."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [line.partition("#")[0].strip() for line in lines if line and not line.startswith("#")]


def test_requirements_of_the_default_installation_bring_no_torch():
    heavy = {"torch", "transformers", "safetensors", "numba"}
    default, kani = (
        {line.partition("==")[0] for line in requirements(file)}
        for file in ("requirements.txt", "requirements-kani.txt")
    )
    assert not heavy & default and heavy - {"numba"} <= kani and not default & kani


def test_every_program_that_is_named_exists():
    named = set(re.findall(r"-m benchmarks\.([\w.]+)", BENCHMARKS))
    assert len(named) > 20
    for name in named:
        path = ROOT / "benchmarks" / name.rstrip(".").replace(".", "/")
        program = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        source = program.read_text(encoding="utf-8")
        assert 'if __name__ == "__main__":' in source, name


def test_every_section_names_its_program():
    sections = re.split(r"^## ", BENCHMARKS, flags=re.M)[1:]
    assert len(sections) > 10
    for section in sections:
        title = section.partition("\n")[0]
        assert "benchmarks." in section or re.search(r"\]\(\w+\.md", section), title


PATH = re.compile(
    r"`((?:server|speech|protocols|engines|kani|client|tests|benchmarks|docs|examples)/[\w./-]+)`"
)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_named_in_documents_exist(document: Path) -> None:
    """A path in backticks, and the target of a link to this repository."""
    text = document.read_text(encoding="utf-8")
    if document.name != "CHANGELOG.md":
        # Of the cache folder, not of the sources.
        named = {path for path in PATH.findall(text) if not path.startswith("kani/revisions")}
        assert not [path for path in named if not (ROOT / path).exists()]
    links = re.findall(r"\]\((?!http)([\w-]*[./][\w./-]*)(?:#[^)]*)?\)", re.sub(r"`[^`]*`", "", text))
    assert not [link for link in links if not (document.parent / link).exists()]
