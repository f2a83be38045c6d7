"""The program for a GPU runs whole with tiny sizes, and a part that fails takes no other with it."""

import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tools.gpu import references
from tools.gpu.__main__ import PARTS, _start_part

pytestmark = pytest.mark.heard


def run(out: Path, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    command = [sys.executable, "-m", "tools.gpu", "--cpu-small", "--out", str(out), *arguments]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return code, [json.loads(line) for line in out.read_text("utf-8").splitlines()]


def test_all_parts_run_small(tmp_path: Path) -> None:
    code, found = run(tmp_path / "results.jsonl", "--work", str(tmp_path))
    assert [line for line in found if line.get("ok") is False] == []
    assert code == 0
    ended = [line["part"] for line in found if line["check"] == "part"]
    assert ended == ["record", *PARTS]
    assert [line for line in found if line["check"] == "left out"] == []


def test_failing_parts_are_results(tmp_path: Path) -> None:
    # As if the models had been made: none of the parts finds its own.
    (tmp_path / "fingerprint").write_text("0")
    code, found = run(tmp_path / "results.jsonl", "--work", str(tmp_path), "--parts", "exact", "cloning")
    assert code == 1
    assert [line["part"] for line in found if line["check"] == "failed"] == ["record", "exact", "cloning"]


def test_hanging_part_is_stopped(tmp_path: Path) -> None:
    given = Namespace(out=tmp_path / "results.jsonl", cpu_small=True, whisper=None)
    _start_part(given, "exact", tmp_path, 0.2)
    (line,) = given.out.read_text("utf-8").splitlines()
    assert json.loads(line) == {"part": "exact", "check": "stopped", "ok": False, "after_s": 0.2}


def test_references_are_small_and_of_published_sizes() -> None:
    assert references.FILE.stat().st_size < 2**20
    recorded = references.read(references.FILE)
    assert recorded["codes"].shape == (len(references.FIRST), references.FRAMES, 4)
    assert recorded["samples"].shape == (references.AUDIBLE_FRAMES * 1764,)
