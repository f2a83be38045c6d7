"""Every benchmark runs: its smallest part, and its help; every tool tells its help."""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

import pytest

from benchmarks.document import HELPERS, programs
from tests.benchmarks.smallest import ROOT, WITH_KOKORO, WITHOUT_KOKORO

Outcomes = dict[str, dict[str, Any]]

NOT_RUN = {
    "conversations.judged_sounds": "Kokoro and Whisper for two hundred sounds: many minutes",
    "kani": "the whole model, with random weights: gigabytes and minutes",
    "kokoro.student": "Kokoro beside its student, three judges and servers: many minutes",
    "kokoro.student.taught": "a folder of the training of a student: hours",
    "kokoro_decoder": "both decoders, one after the other: many minutes",
    "kokoro_decoder.rival": "the package kokoro-onnx",
    "languages.costs": "six starts with all engines",
    "recognition.alignment": "Kokoro for fifty sentences: many minutes",
    "recognition.diarization": "Kokoro for a hundred sentences: many minutes",
    "recognition.people": "recordings of people, which are not in this repository",
    "recognition.recordings": "Whisper in several ways, and its memory: above what the tests may take",
    "recognition.turns": "Kokoro and Whisper for two hundred sentences: many minutes",
    "server.idle_unload": "Kokoro and Whisper, each loaded twice: above what the tests may take",
    "server.installation": "environments into which everything is installed anew",
    "server.memory": "hundreds of requests that a default server of its own answers: many minutes",
    "server.outgoing": "strace, and an empty home in which the decoder is prepared anew: minutes",
}
"""What each of these needs: they are only asked for their help."""

JUDGES = {"nemo", "speechmos"}
"""Packages of the judges' environment; most of the helper scripts run in it."""

ASK_ALL = """
import contextlib, io, json, runpy, sys
told = {}
for program in sys.argv[1:]:
    sys.argv = [program, "--help"]
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            runpy.run_module(program, run_name="__main__")
        code = None
    except SystemExit as end:
        code = end.code
    told[program] = [code, out.getvalue()]
print(json.dumps(told))
"""


@cache
def run_all(names: tuple[str, ...]) -> Outcomes:
    """Run the smallest part of each program, in one process: those with Kokoro and Whisper apart."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("KANI_", "TTS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.smallest"],
        cwd=ROOT,
        env=own | {"KANI_CACHE_DIR": os.environ["TESTS_CACHE"]},
        input=json.dumps([*names]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


def parts(names: Iterable[str], mark: pytest.MarkDecorator) -> list[Any]:
    return [pytest.param(tuple(names), name, marks=mark, id=name) for name in names]


@pytest.mark.parametrize(
    ("names", "name"), [*parts(WITHOUT_KOKORO, pytest.mark.server), *parts(WITH_KOKORO, pytest.mark.heard)]
)
def test_smallest_part_runs(names: tuple[str, ...], name: str) -> None:
    outcome = run_all(names)[name]
    assert outcome["failure"] == ""
    assert "| --- |" in outcome["printed"] or ".wav" in outcome["printed"]


def test_every_program_is_run_or_has_a_reason() -> None:
    run = {*WITHOUT_KOKORO, *WITH_KOKORO}
    assert not run & NOT_RUN.keys()
    assert run | NOT_RUN.keys() == programs().keys()


EXPLAINED = [f"{room}.{name}" for room in ("benchmarks", "tools") for name in programs(ROOT / room)]


@pytest.fixture(scope="module")
def told() -> dict[str, tuple[int | None, str]]:
    """The exit code of each program's --help and what it printed, from one process: imports are slow."""
    done = subprocess.run(
        [sys.executable, "-c", ASK_ALL, *EXPLAINED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name: (code, printed) for name, (code, printed) in json.loads(done.stdout).items()}


@pytest.mark.server
@pytest.mark.parametrize("program", EXPLAINED)
def test_a_program_explains_itself(program: str, told: dict[str, tuple[int | None, str]]) -> None:
    code, printed = told[program]
    assert code == 0
    assert printed.startswith(f"usage: python -m {program}")


@pytest.mark.server
@pytest.mark.parametrize("name", sorted(HELPERS))
def test_script_that_a_benchmark_starts_can_be_imported(name: str) -> None:
    try:
        importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as missing:
        assert (missing.name or "").partition(".")[0] in JUDGES
