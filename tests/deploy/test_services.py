"""The compose files, the dashboard, the systemd unit, and what `uv run` and actors on Ray are given."""

import json
import plistlib
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from deploy.script_metadata import REQUIREMENTS, SCRIPT, updated
from kani.composition.settings import fields, variables
from kani.ray import environment
from tests.conftest import ROOT
from tests.deploy.environment import requirements
from tests.snippets import snippets
from tests.support.programs import python, ran

DEPLOY = ROOT / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose*.yml"))
VARIABLES = {name for field in fields() for name in variables(field)}


def services(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return found


def test_compose_files_fit_the_schema() -> None:
    python("-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *COMPOSE)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_compose_file_names_what_exists(path: Path) -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.M)
    for service in services(path).values():
        if target := (build := service.get("build", {})).get("target"):
            assert target in stages and service["image"] == f"kani-tts:{target}"
        elif build:
            # An image on top of another one, by a file of its own.
            assert (ROOT / build["dockerfile"]).exists()
        for name in service.get("environment", {}):
            assert name in VARIABLES or not name.startswith("KANI_"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists(), source
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "a port is opened to other machines by default"


def test_server_runs_without_privileges_on_a_file_system_that_it_cannot_change() -> None:
    server = services(DEPLOY / "compose.yml")["kani-tts"]
    assert server["read_only"] is True and server["cap_drop"] == ["ALL"] and server["mem_limit"] == "2g"
    assert server["security_opt"] == ["no-new-privileges:true"]
    written = {volume.split(":")[1] for volume in server["volumes"]}
    # A tmpfs would hold the recordings that are received in memory.
    assert written == {"/data", "/tmp"} and "tmpfs" not in server
    for path in COMPOSE:
        added = services(path).get("kani-tts", {})
        assert not {"privileged", "cap_add", "network_mode", "pid"} & added.keys(), path.name
        if path.name != "compose.yml":
            # A file that is added would replace them.
            assert not {"read_only", "cap_drop", "security_opt"} & added.keys(), path.name


def test_configs_of_monitoring_exist_and_the_dashboard_has_the_documented_queries() -> None:
    configs = yaml.safe_load((DEPLOY / "compose.monitoring.yml").read_text(encoding="utf-8"))["configs"]
    files = [DEPLOY / config["file"] for config in configs.values() if "file" in config]
    assert files and all(file.exists() for file in files)
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    queries = [query.strip() for query in re.findall(r"```promql\n(.+?)```", page, re.DOTALL)]
    dashboard = json.loads((DEPLOY / "grafana" / "kani-tts.json").read_text(encoding="utf-8"))
    assert [panel["targets"][0]["expr"] for panel in dashboard["panels"]] == queries


UNIT = DEPLOY / "kani-tts.service"
MOST_EXPOSED = 2.5
"""Exposure out of 10 by ``systemd-analyze security``: 8.3 without the lines that confine the service."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def analyzed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


def test_limits_rights_and_commands_of_the_unit() -> None:
    text = UNIT.read_text(encoding="utf-8")
    assert set(re.findall(r"\bKANI_[A-Z_]+[A-Z]\b", text)) <= VARIABLES
    assert "start_websocket_server.py" in text
    unit = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert unit["MemoryMax"] == "2G" and unit["WatchdogSec"] == "60" and unit["CapabilityBoundingSet"] == ""
    assert unit["SystemCallFilter"] == "@system-service"
    # The fast decoder compiles its kernels; the processor's features stand outside of the processes' folders.
    assert "MemoryDenyWriteExecute" not in unit and "ProcSubset" not in unit


@pytest.mark.server
@needs_systemd
def test_systemd_accepts_what_the_commands_install(tmp_path: Path) -> None:
    """The commands of operations.md, below a folder in place of the root."""
    (code,) = [one.code for one in snippets("bash") if "systemctl enable" in one.code]
    (tmp_path / "clone" / "deploy").mkdir(parents=True)
    shutil.copy(UNIT, tmp_path / "clone" / "deploy")
    (tmp_path / "clone" / ".env").write_text("KANI_API_KEYS=of-the-clone", encoding="utf-8")
    root = tmp_path / "root"
    for folder in ("opt", "etc/systemd/system", "bin"):
        (root / folder).mkdir(parents=True)
    programs = 'pip() { :; }; systemctl() { echo "$@"; }\n'
    scratch = re.sub(r"(?<=[ =])/(?=opt|etc)", f"{root}/", code).replace(".venv/bin/pip", "pip")
    done = ran("bash", "-e", "-c", f"umask 077\n{programs}{scratch}", cwd=tmp_path / "clone")
    assert (done.stdout, done.stderr) == ("enable --now kani-tts\n", "")
    assert (root / "etc/kani-tts.env").stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"KANI_API_KEYS=\w{32}\n", (root / "etc/kani-tts.env").read_text(encoding="utf-8"))
    # The service has a user of its own, who must be able to read all that there is.
    copied = [*(root / "opt/kani-tts").rglob("*")]
    assert not (root / "opt/kani-tts/.env").exists() and all(path.stat().st_mode & 0o004 for path in copied)
    unit = root / "etc/systemd/system" / UNIT.name
    text = unit.read_text(encoding="utf-8")
    unit.write_text(re.sub(r"(?<==)/(?=opt|etc)", f"{root}/", text), encoding="utf-8")
    verified = analyzed("verify", str(unit))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_agent_of_macos_starts_the_clone_in_the_users_folder(tmp_path: Path) -> None:
    agent = plistlib.loads((DEPLOY / "kani-tts.plist").read_bytes())
    assert agent["RunAtLoad"] is True and agent["KeepAlive"] == {"SuccessfulExit": False}
    python = tmp_path / "kani-tts" / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$PWD" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    done = ran(*agent["ProgramArguments"], env={"HOME": str(tmp_path)})
    assert done.stdout == f"{tmp_path / 'kani-tts'} start_websocket_server.py\n"


@needs_systemd
def test_service_is_confined() -> None:
    done = analyzed("security", "--offline=true", f"--threshold={round(10 * MOST_EXPOSED)}", str(UNIT))
    assert done.returncode == 0, done.stdout + done.stderr


# The regular expression of the inline script metadata specification.
SPECIFIED = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def test_script_block_lists_the_requirements() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    listed = REQUIREMENTS.read_text(encoding="utf-8")
    assert updated(script, listed) == script, "run python deploy/script_metadata.py"
    (found,) = SPECIFIED.finditer(script)
    assert found["type"] == "script"
    block = tomllib.loads(re.sub(r"(?m)^# ?", "", found["content"]))
    assert [Requirement(each) for each in block["dependencies"]] == requirements(REQUIREMENTS)
    project = tomllib.loads((SCRIPT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert block["requires-python"] == project["requires-python"]
    with pytest.raises(ValueError, match="this one 0"):
        updated("print()\n", "a==1\n")


SECRETS = (
    *("KANI_API_KEYS", "ELEVEN_API_KEY", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    *("AWS_SECRET_ACCESS_KEY", "OTEL_EXPORTER_OTLP_HEADERS"),
)
OTHERS = ("AWS_REGION", "HF_TOKEN", "PATH", "KANI_API_KEY")
GIVEN = dict.fromkeys([name for field in fields() for name in variables(field)], "a value")
GIVEN |= dict.fromkeys((*SECRETS, *OTHERS), "a value")


def test_actors_on_ray_get_their_settings_and_no_secret_of_others() -> None:
    missing = GIVEN.keys() - environment.of_fronts(GIVEN).keys()
    assert missing == {"KANI_ENGINE_KEY", "PATH", "KANI_API_KEY"}
    given = environment.of_replicas(GIVEN)
    assert not given.keys() & {*SECRETS, "KANI_ENGINE_KEY"}
    wanted = {"KANI_ENGINE", "KANI_DEVICE", "TTS_DEVICE", "KANI_PYTHONS", "KANI_CACHE_DIR", "LOG_LEVEL"}
    assert wanted | {"HF_TOKEN"} <= given.keys()
    secret = [name for name, field in fields().items() if "SecretStr" in str(field.annotation)]
    assert len(secret) > 2
    assert not given.keys() & {variable for name in secret for variable in variables(name)}
