"""deploy/Dockerfile, followed line by line in a fresh folder, without a container engine.

apt-get and useradd change the machine, so they are only checked; pip runs with --dry-run, because this
environment has the packages of requirements.txt.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from dockerfile_parse import DockerfileParser

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
KEY = "a-key-of-the-container"


@dataclass
class Stage:
    """One stage of the Dockerfile with everything it inherits."""

    instructions: list[tuple[str, str]] = field(default_factory=list)  # name and value, in order

    def values(self, name: str) -> list[str]:
        """Return the values of every instruction of that name."""
        return [value for each, value in self.instructions if each == name]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its ENV instructions."""
        pairs = (pair for value in self.values("ENV") for pair in shlex.split(value))
        return dict(pair.split("=", 1) for pair in pairs)


def stages() -> dict[str, Stage]:
    """Return the stages by name, each with the instructions of the stages below it."""
    parser = DockerfileParser(str(DOCKERFILE), cache_content=True)
    found: dict[str, Stage] = {}
    for line in parser.structure:
        name, value = line["instruction"], line["value"]
        if name == "FROM":
            base, _, stage = value.partition(" AS ")
            current = found[stage] = Stage(list(found[base].instructions) if base in found else [])
        elif name != "COMMENT":
            current.instructions.append((name, value))
    return found


def copy_context(folder: Path) -> None:
    """Copy the files of the build context: those of the repository that .dockerignore does not list."""
    ignored = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.removeprefix("**/") for line in ignored if line and not line.startswith("#")]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in listed.stdout.splitlines():
        first, last = Path(name).parts[0], Path(name).name
        if not any(fnmatch.fnmatch(part, pattern) for part in (first, last) for pattern in patterns):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def run_line(line: str, folder: Path, environment: dict[str, str]) -> None:
    """Execute one RUN line; see the module's docstring for apt-get, useradd and pip."""
    for command in line.split(" && "):
        words = shlex.split(command)
        if words[0] == "apt-get":
            assert words[1] in ("update", "install"), command
        elif words[0] == "pip":
            # The index of torch's builds is not mirrored everywhere; the pinned version has to exist anyhow.
            asked = [word for word in words if word != "--index-url" and "://" not in word]
            subprocess.run([sys.executable, "-m", *asked, "--dry-run", "--quiet"], cwd=folder, check=True)
        elif words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], cwd=folder, env=environment, check=True)
        else:
            assert words[0] in ("rm", "useradd", "mkdir", "chown"), command


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_image_runs_as_user_without_telemetry(target: str) -> None:
    stage = stages()[target]
    assert stage.values("USER") == ["kani"]
    environment = stage.environment
    assert environment["ORT_DISABLE_TELEMETRY"] == environment["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert [name for name, _ in stage.instructions].index("USER") < len(stage.instructions) - 1
    assert stage.values("HEALTHCHECK") and stage.values("EXPOSE") == ["8001"]
    assert json.loads(stage.values("ENTRYPOINT")[0]) == ["python", "start_websocket_server.py"]


def test_torch_is_the_pinned_version() -> None:
    pinned = [line.split()[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if line]
    line = next(line for line in stages()["cpu"].values("RUN") if "--index-url" in line)
    assert line.split()[-1] in pinned


def test_image_files_suffice_to_fetch_and_speak(tmp_path: Path, unused_tcp_port: int) -> None:
    stage = stages()["cpu"]
    app, cache, data = (tmp_path / name for name in ("app", "cache", "data"))
    for folder in (app, cache, data):
        folder.mkdir()
    variables = stage.environment | {"KANI_CACHE_DIR": str(cache), "KANI_DATA_DIR": str(data)}
    environment = {**os.environ, **variables}
    for name, value in stage.instructions:
        if name == "COPY":
            source, _ = shlex.split(value)
            copy_context(app) if source == "." else shutil.copy(ROOT / source, app / source)
        elif name == "RUN":
            run_line(value, app, environment)
    entry = [sys.executable, *json.loads(stage.values("ENTRYPOINT")[0])[1:]]
    without_key = subprocess.run(entry, cwd=app, env=environment, capture_output=True, text=True, timeout=120)
    assert without_key.returncode == 1 and "KANI_API_KEYS" in without_key.stderr
    environment |= {"KANI_API_KEYS": KEY}
    server = subprocess.Popen([*entry, "--port", str(unused_tcp_port)], cwd=app, env=environment)
    try:
        address = f"http://127.0.0.1:{unused_tcp_port}"
        transport = httpx.HTTPTransport(retries=30)
        with httpx.Client(base_url=address, transport=transport, timeout=120) as client:
            assert client.get("/livez").status_code == 200
            while client.get("/health").status_code != 200:
                assert server.poll() is None
                time.sleep(0.1)
            answer = client.post("/tts", json={"text": "Hola."}, headers={"authorization": f"Bearer {KEY}"})
            assert answer.status_code == 200 and len(answer.content) > 10_000
    finally:
        server.terminate()
        assert server.wait(60) == 0
