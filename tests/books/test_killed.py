"""A book whose program is killed again and again comes out whole, with nothing lost or doubled."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.books.test_audiobook import decoded, marks
from tests.conftest import ROOT
from tests.support.patience import WITHIN_S

TEXT = "\n\n".join(f"Chapter {n}\n\n" + f"The dog of house {n} sleeps. " * 6 for n in range(1, 9))


def start(book: Path, output: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kani", "say", str(book), "-o", str(output), "--engine", "espeak"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.server
def test_killed_at_any_time_it_goes_on(tmp_path: Path) -> None:
    book, whole, output = tmp_path / "b.txt", tmp_path / "whole.m4b", tmp_path / "b.m4b"
    book.write_text(TEXT, encoding="utf-8")
    undisturbed = start(book, whole)
    assert undisturbed.stderr is not None
    undisturbed.communicate(timeout=WITHIN_S)
    assert undisturbed.returncode == 0
    for moment in ("chapter 3 of 8", "chapter 6 of 8", "writing b.m4b"):
        process = start(book, output)
        assert process.stderr is not None
        assert any(line.startswith(moment) for line in process.stderr), moment
        process.kill()
        process.wait(WITHIN_S)
        process.stderr.close()
        assert not output.exists()
    last = start(book, output)
    told = last.communicate(timeout=WITHIN_S)[1]
    reused = re.match(r"(\d+) of (\d+) pieces are spoken already", told)
    assert last.returncode == 0 and reused is not None and reused[1] == reused[2]
    assert marks(output) == marks(whole)
    assert np.array_equal(decoded(output)[0], decoded(whole)[0])
    assert not (tmp_path / "b.m4b.parts").exists()
