"""Every benchmark runs: its smallest part, and its help."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.benchmarks.smallest import MODULES, ROOT, WITH_KOKORO, WITHOUT_KOKORO
from tests.page.visitor import find_browser

Outcomes = dict[str, dict[str, Any]]

HELPERS = {
    "kani.nemo",
    "kokoro.mos",
    "kokoro.picture",
    "kokoro_decoder.picture",
    "text.language_detection_peers",
    "text.normalizer_peers",
    "timing.alignment_picture",
    "voices.emotions_picture",
    "voices.nearest_voice_judge",
}
"""Scripts that a program starts, most of them in the judges' environment; they have no command line."""

NOT_RUN = {
    "conversations.judged_sounds": "Kokoro and Whisper for two hundred sounds: many minutes",
    "conversations.many_turns": "conversations at the pace of speech: an hour",
    "conversations.over_answers": "sounds at the pace of speech over answers: minutes",
    "kani": "the whole model, with random weights: gigabytes and minutes",
    "kani.quality": "the Kani model's weights",
    "kokoro_decoder.checkpoint": "a calibration: minutes",
    "kokoro.first_audio": "a second Kokoro in its own process: above what the tests may take",
    "kokoro.rival": "the package kokoro-onnx",
    "kokoro.rivals": "the package kokoro-onnx",
    "kokoro.streaming": "a hundred sentences decoded in two ways: many minutes",
    "kokoro.student": "Kokoro beside its student, three judges and servers: many minutes",
    "kokoro.student.taught": "a folder of the training of a student: hours",
    "kokoro_data.calibrate": "it writes into kani/engines/kokoro/data; minutes",
    "kokoro_data.levels": "it writes into kani/engines/kokoro/data; minutes",
    "kokoro_data.pitches": "it writes into kani/engines/kokoro/data; minutes",
    "kokoro_data.probe": "it writes into kani/engines/kokoro/data",
    "kokoro_data.statistics": "it writes into kani/engines/kokoro/data; a quarter of an hour",
    "kokoro_data.student": "the wheel hibari-tts",
    "kokoro_data.surrogate": "it writes into kani/engines/kokoro/data; hours",
    "kokoro_data.voices": "the source distribution kokoro",
    "kokoro_decoder": "both decoders, one after the other: many minutes",
    "kokoro_decoder.dequantize": "a file of 330 MB",
    "kokoro_decoder.rival": "the package kokoro-onnx",
    "recognition.diarization": "Kokoro for a hundred sentences: many minutes",
    "recognition.kyutai_steps": "a model of a billion random parameters: gigabytes and minutes",
    "recognition.languages": "two engines and Whisper in its process: above what the tests may take",
    "recognition.noise": "files of three wheels, and Whisper for hundreds of recordings: many minutes",
    "recognition.people": "recordings of people, which are not in this repository",
    "recognition.recordings": "Whisper in several ways, and its memory: above what the tests may take",
    "recognition.turns": "Kokoro and Whisper for two hundred sentences: many minutes",
    "recognition.whisper.sizes": "checkpoints that transformers makes: half a minute, a gigabyte",
    "server.conversation": "conversations at the pace of speech: minutes",
    "server.endurance": "hours; the weights of Pocket TTS and VoxCPM2, and a GPU",
    "server.idle_unload": "Kokoro and Whisper, each loaded twice: above what the tests may take",
    "server.installation": "environments into which everything is installed anew",
    "server.memory": "hundreds of requests that a default server of its own answers: many minutes",
    "server.outgoing": "strace, and an empty home in which the decoder is prepared anew: minutes",
    "server.page": "as server.page_words, and a minute of Kokoro",
    "server.page_listening": "as server.page_words, and minutes of Kokoro and Whisper",
    "server.page_load": "as server.page_words, while the processor is kept busy",
    "server.page_pictures": "the pictures of the documentation, of every part of the page: minutes",
    "server.ray_serve": "the package ray",
    "text.short_replies": "nine servers, one after the other, each with Wyoming's port: minutes",
    "timing.alignment": "Kokoro by the ONNX decoder, and Whisper: above what the tests may take",
    "voices.espeak_levels": "it writes into kani/engines/espeak; minutes",
    "voices.nearest_voice": "the packages of tests/judges/requirements-judges.txt, and hours",
}
"""What each of these needs: they are only asked for their help."""

JUDGES = {"matplotlib", "nemo", "resemblyzer", "speechmos"}
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


def programs() -> list[str]:
    """Names of the programs that have a command line: ``python -m benchmarks.NAME``."""
    folder, found = ROOT / "benchmarks", set()
    for file in folder.rglob("*.py"):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        if any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in body):
            parts = file.relative_to(folder).with_suffix("").parts
            found.add(".".join(parts).removesuffix(".__main__"))
    return sorted(found - HELPERS)


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
