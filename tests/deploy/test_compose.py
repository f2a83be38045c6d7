"""The compose files and the dashboard of deploy/ against their schemas and the server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kani.server import settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = sorted(DEPLOY.glob("compose*.yml"))
VARIABLES = {name for field in settings.fields() for name in settings.variables(field)}


def services(path: Path) -> dict[str, Any]:
    """Return the services of a compose file by name."""
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    return found


def test_compose_files_fit_the_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, *map(str, COMPOSE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_compose_file_names_what_exists(path: Path) -> None:
    for service in services(path).values():
        for name in service.get("environment", {}):
            assert name in VARIABLES or not name.startswith("KANI_"), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DEPLOY / source).exists(), source
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "a port is opened to other machines by default"


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_compose_file_builds_a_stage_of_the_dockerfile(path: Path) -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.M)
    for service in services(path).values():
        build = service.get("build", {})
        if "target" not in build:
            # An image on top of another one, by a file of its own.
            assert not build or (DEPLOY.parent / build["dockerfile"]).exists()
        else:
            target = build["target"]
            assert target in stages and service["image"] == f"kani-tts:{target}"


def test_server_runs_without_privileges_on_a_file_system_that_it_cannot_change() -> None:
    server = services(DEPLOY / "compose.yml")["kani-tts"]
    assert server["read_only"] is True and server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    for path in COMPOSE:
        added = services(path).get("kani-tts", {})
        assert not {"privileged", "cap_add", "network_mode", "pid"} & added.keys(), path.name
        if path.name != "compose.yml":
            # A file that is added would replace them.
            assert not {"read_only", "cap_drop", "security_opt"} & added.keys(), path.name


def test_configs_of_monitoring_exist() -> None:
    configs = yaml.safe_load((DEPLOY / "compose.monitoring.yml").read_text(encoding="utf-8"))["configs"]
    files = [DEPLOY / config["file"] for config in configs.values() if "file" in config]
    assert files and all(file.exists() for file in files)


def test_dashboard_has_the_queries_of_the_documentation() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    queries = [query.strip() for query in re.findall(r"```promql\n(.+?)```", page, re.DOTALL)]
    dashboard = json.loads((DEPLOY / "grafana" / "kani-tts.json").read_text(encoding="utf-8"))
    assert [panel["targets"][0]["expr"] for panel in dashboard["panels"]] == queries


def test_container_may_write_to_its_volumes_only() -> None:
    server = services(DEPLOY / "compose.yml")["kani-tts"]
    assert server["read_only"] and server["cap_drop"] == ["ALL"] and "privileged" not in server
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert server["mem_limit"] == "2g"
    written = {volume.split(":")[1] for volume in server["volumes"]}
    # A tmpfs would hold the recordings that are received in memory.
    assert written == {"/data", "/tmp"} and "tmpfs" not in server
