"""The systemd unit: what it names, and what systemd says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kani.server import settings

UNIT = Path(__file__).parents[2] / "deploy" / "kani-tts.service"
VARIABLES = {name for field in settings.fields() for name in settings.variables(field)}
MOST_EXPOSED = 2.5
"""Exposure out of 10 by ``systemd-analyze security``: 8.3 without the lines that confine the service."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def lines() -> dict[str, str]:
    """The unit's lines by name."""
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(encoding="utf-8"), re.M))


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


def test_unit_names_settings_that_exist() -> None:
    unit = UNIT.read_text(encoding="utf-8")
    assert set(re.findall(r"\bKANI_[A-Z_]+[A-Z]\b", unit)) <= VARIABLES
    assert "start_websocket_server.py" in unit


def test_memory_and_rights_are_limited() -> None:
    unit = lines()
    assert unit["MemoryMax"] == "2G" and unit["WatchdogSec"] == "60" and unit["CapabilityBoundingSet"] == ""
    assert unit["SystemCallFilter"] == "@system-service"
    # The fast decoder compiles its kernels; the processor's features stand outside of the processes' folders.
    assert "MemoryDenyWriteExecute" not in unit and "ProcSubset" not in unit


@needs_systemd
def test_systemd_knows_every_line(tmp_path: Path) -> None:
    copy = tmp_path / UNIT.name
    installed = UNIT.read_text(encoding="utf-8").replace("/opt/kani-tts/venv/bin/python", sys.executable)
    copy.write_text(installed, encoding="utf-8")
    done = analyzed("verify", str(copy))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_service_is_confined() -> None:
    done = analyzed("security", "--offline=true", f"--threshold={round(10 * MOST_EXPOSED)}", str(UNIT))
    assert done.returncode == 0, done.stdout + done.stderr
