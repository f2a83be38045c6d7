"""Programs in processes of their own, run to their end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.running.sources import ROOT
from tests.support.patience import WITHIN_S

Ended = subprocess.CompletedProcess[str]


def ran(
    *command: str | Path,
    code: int = 0,
    given: str = "",
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run a program to its end, which has to have the exit status ``code``; given: its standard input."""
    done = subprocess.run(
        command,
        input=given,
        cwd=cwd,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def python(
    *arguments: str | Path,
    code: int = 0,
    given: str = "",
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """Run this Python with some arguments; see ``ran``."""
    return ran(sys.executable, *arguments, code=code, given=given, cwd=cwd, env=env)


def example(name: str, *arguments: str | Path, code: int = 0) -> str:
    """Run a program of ``examples``, which tells failures without a traceback; returns what it printed."""
    ended = python(f"examples/{name}", *arguments, code=code)
    printed = ended.stdout + ended.stderr
    assert "Traceback" not in printed, printed
    return printed
