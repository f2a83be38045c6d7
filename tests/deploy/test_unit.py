"""The systemd unit: what it names, and what systemd says of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kani.server import settings
from tests.snippets import snippets

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


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit as the commands of operations.md install it, below a folder in place of the root."""
    (code,) = [one.code for one in snippets("bash") if "systemctl enable" in one.code]
    (tmp_path / "clone" / "deploy").mkdir(parents=True)
    shutil.copy(UNIT, tmp_path / "clone" / "deploy")
    root = tmp_path / "root"
    for folder in ("opt", "etc/systemd/system", "bin"):
        (root / folder).mkdir(parents=True)
    programs = 'pip() { :; }; systemctl() { echo "$@"; }\n'
    scratch = re.sub(r"(?<=[ =])/(?=opt|etc)", f"{root}/", code).replace(".venv/bin/pip", "pip")
    done = subprocess.run(
        ["bash", "-e", "-c", programs + scratch], cwd=tmp_path / "clone", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "enable --now kani-tts\n", "")
    assert (root / "etc/kani-tts.env").stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"KANI_API_KEYS=\w{32}\n", (root / "etc/kani-tts.env").read_text(encoding="utf-8"))
    unit = root / "etc/systemd/system" / UNIT.name
    text = unit.read_text(encoding="utf-8")
    unit.write_text(re.sub(r"(?<==)/(?=opt|etc)", f"{root}/", text), encoding="utf-8")
    return unit


@pytest.mark.server
@needs_systemd
def test_systemd_accepts_what_the_commands_install(installed: Path) -> None:
    done = analyzed("verify", str(installed))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_service_is_confined() -> None:
    done = analyzed("security", "--offline=true", f"--threshold={round(10 * MOST_EXPOSED)}", str(UNIT))
    assert done.returncode == 0, done.stdout + done.stderr
