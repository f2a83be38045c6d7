"""Every benchmark runs: its smallest part, and its help."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.benchmarks.programs import HELPERS, NOT_RUN, ROOT, programs
from tests.benchmarks.smallest import MODULES, WITH_KOKORO, WITHOUT_KOKORO
from tests.page.visitor import find_browser

Outcomes = dict[str, dict[str, Any]]

JUDGES = {"matplotlib", "nemo", "pocket_tts", "resemblyzer", "speechmos"}
"""Packages of the judges' environment; most of the helper scripts run in it."""

BROWSER = {"server.page_words"}
"""Programs that need Chromium."""

ASK_ALL = """
import contextlib, io, json, runpy, sys
told = {}
for program in sys.argv[1:]:
    sys.argv = [program, "--help"]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_module(f"benchmarks.{program}", run_name="__main__")
        code = None
    except SystemExit as end:
        code = end.code
    told[program] = [code, out.getvalue()]
print(json.dumps(told))
"""


def run_all(names: Sequence[str]) -> Outcomes:
    """Run the smallest part of each program, in one process."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("KANI_", "TTS_"))}
    here = [name for name in names if name not in BROWSER or find_browser() is not None]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.smallest"],
        cwd=ROOT,
        env=own | {"KANI_CACHE_DIR": os.environ["TESTS_CACHE"]},
        input=json.dumps(here),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def without_kokoro() -> Outcomes:
    """What became of the programs that need no Kokoro."""
    return run_all([*WITHOUT_KOKORO])


@pytest.fixture(scope="module")
def with_kokoro() -> Outcomes:
    """What became of those that need Kokoro or Whisper."""
    return run_all([*WITH_KOKORO])


def assert_ran(name: str, outcomes: Outcomes) -> None:
    """Assert that a program printed what it is for."""
    if name in BROWSER and name not in outcomes:
        pytest.skip("no Chromium here")
    assert outcomes[name]["failure"] == ""
    assert "| --- |" in outcomes[name]["printed"] or ".wav" in outcomes[name]["printed"]


@pytest.mark.server
@pytest.mark.parametrize("name", WITHOUT_KOKORO)
def test_smallest_part_runs(name: str, without_kokoro: Outcomes) -> None:
    assert_ran(name, without_kokoro)


@pytest.mark.heard
@pytest.mark.parametrize("name", WITH_KOKORO)
def test_smallest_part_that_needs_kokoro_or_whisper_runs(name: str, with_kokoro: Outcomes) -> None:
    assert_ran(name, with_kokoro)


def test_every_program_is_run_or_has_a_reason() -> None:
    run = {MODULES.get(name, name).removesuffix(".__main__") for name in WITHOUT_KOKORO | WITH_KOKORO}
    assert not run & NOT_RUN.keys()
    assert sorted(run | NOT_RUN.keys()) == programs()


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[int | None, str]]:
    """The exit code of each program's --help and what it printed, from one process: imports are slow."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL, *programs()], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name: (code, printed) for name, (code, printed) in json.loads(done.stdout).items()}


@pytest.mark.server
@pytest.mark.parametrize("program", programs())
def test_a_benchmark_explains_itself(program: str, told: dict[str, tuple[int | None, str]]) -> None:
    code, printed = told[program]
    assert code == 0
    assert printed.startswith(f"usage: python -m benchmarks.{program}")


@pytest.mark.server
@pytest.mark.parametrize("name", sorted(HELPERS))
def test_script_that_a_benchmark_starts_can_be_imported(name: str) -> None:
    try:
        importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as missing:
        assert (missing.name or "").partition(".")[0] in JUDGES
