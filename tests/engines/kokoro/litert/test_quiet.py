"""LiteRT's line on standard error: left out, and nothing else with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROGRAM = """
import os
from kani.engines.kokoro.litert.quiet import LINE, without_line

for number in range(2):
    with without_line():
        os.write(2, b"before " + LINE + LINE + b"after\\n")
"""
LINE = b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"


def test_only_the_line_is_left_out_and_only_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, stderr=subprocess.PIPE, check=True)
    assert done.stderr == b"before after\n" + b"before " + LINE + LINE + b"after\n"


@pytest.mark.server
def test_command_that_speaks_writes_its_own_line_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kani", "say", "Hola.", "-o", str(tmp_path / "a.wav")]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, check=True)
    assert done.stderr.count(b"\n") == 1 and b"of speech by" in done.stderr
