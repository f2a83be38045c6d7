"""The distribution kani-text: the text package by itself, as its README uses it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.support.programs import ran

FOLDER = ROOT / "deploy" / "kani-text"


def requirements(project: Path) -> dict[str, Requirement]:
    listed = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    return {one.name: one for one in map(Requirement, listed)}


def test_it_needs_the_servers_versions_of_what_it_imports() -> None:
    own, server = requirements(FOLDER / "pyproject.toml"), requirements(ROOT / "pyproject.toml")
    assert own == {name: server[name] for name in own}
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "kani_text").rglob("*.py"))
    names = set(re.findall(r"^ *(?:from|import) (\w+)", sources, re.MULTILINE))
    assert names - set(sys.stdlib_module_names) - {"kani_text"} == {name.lower() for name in own}


@pytest.mark.heard
@pytest.mark.smoke
def test_readme_runs_without_the_server(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, "--no-deps", "--target", str(tmp_path / "site"), str(FOLDER)], check=True)
    assert {path.name for path in (tmp_path / "site").iterdir() if "dist-info" not in path.name} == {
        "kani_text"
    }
    (code,) = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text("utf-8"), re.DOTALL)
    promised = re.findall(r"  # (.*)", code)
    where = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
    assert ran(sys.executable, "-P", "-c", where + code, cwd=tmp_path).stdout.splitlines() == promised
