"""deploy/Dockerfile, followed line by line in a fresh folder, without a container engine.

The CPU image is a folder with /app, /cache and /data in it. pip's lines run as dry runs, and what they would
install is linked into an environment: so the image is tried with its own packages, not with all of this
environment. apt-get and useradd change the machine, so they are not run.
"""

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import httpx2
import pytest
import trustme
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

from tests.conftest import ADDRESS, ROOT, server_process
from tests.deploy.environment import linked_environment, requirements
from tests.support.patience import WITHIN_S
from tests.support.programs import python, ran

pytestmark = pytest.mark.server

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IMAGES = ("cpu", "cuda")
FOLDERS = ("app", "cache", "data")
KEY = "a-key-of-the-container"
ONLY_CHECKED = ("apt-get", "rm", "useradd", "mkdir", "chown")


@dataclass
class Stage:
    """One stage of the Dockerfile: the stage or image below, and names and values of its own lines."""

    base: str
    lines: list[tuple[str, str]] = field(default_factory=list)


def stages() -> dict[str, Stage]:
    found: dict[str, Stage] = {}
    for line in DockerfileParser(str(DOCKERFILE), cache_content=True).structure:
        name, value = line["instruction"], line["value"]
        if name == "FROM":
            base, _, stage = value.partition(" AS ")
            current = found[stage] = Stage(base)
        elif name != "COMMENT":
            current.lines.append((name, value))
    return found


STAGES = stages()


def inherited(stage: str) -> list[tuple[str, str]]:
    """Return the lines of a stage and of all below it, in order."""
    return inherited(STAGES[stage].base) + STAGES[stage].lines if stage in STAGES else []


def values(stage: str, name: str) -> list[str]:
    """Return the values of every instruction of that name, inherited ones too."""
    return [value for each, value in inherited(stage) if each == name]


def variables(stage: str) -> dict[str, str]:
    pairs = (pair for value in values(stage, "ENV") for pair in shlex.split(value))
    return dict(pair.split("=", 1) for pair in pairs)


def ignored(name: str) -> bool:
    """True if .dockerignore keeps a file of the repository out of the build; its last fitting line counts."""
    lines = (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    found = False
    for line in lines:
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = Path(name).parts
        # A pattern names a file, or a folder above it; with **/ at any depth.
        tried = [*parts] if line.startswith("**/") else ["/".join(parts[: n + 1]) for n in range(len(parts))]
        if line and not line.startswith("#") and any(fnmatch.fnmatchcase(one, pattern) for one in tried):
            found = not line.startswith("!")
    return found


@dataclass
class Image:
    """An image's folders, and a python that has only its packages."""

    folder: Path
    packages: list[Requirement] = field(default_factory=list)
    python: str = ""

    @property
    def app(self) -> Path:
        return self.folder / "app"

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a process in the image, its folders instead of the container's."""
        folders = {f"KANI_{name.upper()}_DIR": str(self.folder / name) for name in ("cache", "data")}
        return {**os.environ, **variables("cpu"), **folders}

    def follow(self, name: str, value: str) -> None:
        """Do what a line says."""
        if name == "COPY":
            # A file of the build context, or all of it.
            source, target = value.split()
            names = [
                name for name in ran("git", "ls-files", "--", source).stdout.splitlines() if not ignored(name)
            ]
            assert names, f"{source} is not in the build context"
            for each in names:
                to = self.app / target / (each if source == "." else Path(each).name)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / each, to)
        for command in value.split(" && ") if name == "RUN" else ():
            match shlex.split(command):
                case ["pip", "install", "-r", file]:
                    self.packages += requirements(self.app / file)
                    ran(sys.executable, "-m", "pip", "install", "-r", file, "--dry-run", cwd=self.app)
                    self.python = str(linked_environment(self.folder / "env", self.packages))
                case ["python", *arguments]:
                    ran(self.python, *arguments, cwd=self.app, env=self.environment)
                case ["find", *arguments]:
                    ran("find", *arguments, cwd=self.app)
                case [program, *_]:
                    assert program in ONLY_CHECKED, command

    def command(self, *arguments: str) -> list[str]:
        """The entry point with options."""
        return [self.python, *json.loads(values("cpu", "ENTRYPOINT")[0])[1:], *arguments]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The CPU image: it has the folders of the stage of the program, and nothing else of its own."""
    copied = [value.split()[-2:] for name, value in STAGES["cpu"].lines if name == "COPY"]
    assert copied == [["/app", "/app"], ["/cache", "/cache"]] and "RUN" not in dict(STAGES["cpu"].lines)
    assert STAGES["cpu"].base == STAGES["program"].base
    made = Image(tmp_path_factory.mktemp("image"))
    for name in FOLDERS:
        (made.folder / name).mkdir()
    for line in inherited("program"):
        made.follow(*line)
    return made


@pytest.mark.parametrize("name", IMAGES)
def test_image_runs_as_user_without_telemetry(name: str) -> None:
    # The user is set after everything that root installs, and a stage does not inherit that of another.
    own = [instruction for instruction, _ in STAGES[name].lines]
    assert values(name, "USER") == ["1000"] and "COPY" not in own[own.index("USER") :]
    assert variables(name)["ORT_DISABLE_TELEMETRY"] == variables(name)["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert values(name, "HEALTHCHECK") and values(name, "EXPOSE") == ["8001"]
    assert json.loads(values(name, "ENTRYPOINT")[0]) == ["python", "start_websocket_server.py"]


@pytest.mark.parametrize("secure", [False, True])
def test_health_check_asks_the_servers_own_port(tmp_path: Path, secure: bool) -> None:
    _, _, check = values("cpu", "HEALTHCHECK")[0].partition(" CMD ")
    program, *arguments = json.loads(check)
    assert program == "python"
    settings = {}
    if secure:
        signed = trustme.CA().issue_cert("speech.example")
        settings = {f"KANI_TLS_{name}": str(tmp_path / f"{name}.pem") for name in ("CERT", "KEY")}
        signed.cert_chain_pems[0].write_to_path(settings["KANI_TLS_CERT"])
        signed.private_key_pem.write_to_path(settings["KANI_TLS_KEY"])
    with server_process(tmp_path, "--engine", "espeak", **settings) as server:
        asked = {**os.environ, **settings, "KANI_PORT": str(server.port)}
        python(*arguments, env=asked)
    done = python(*arguments, env=asked, code=1)
    assert "Connection refused" in done.stderr


def test_cuda_adds_the_packages_of_the_kani_model_to_those_of_cpu() -> None:
    added = [value for value in values("cuda", "RUN") if value not in values("cpu", "RUN")]
    assert added == ["pip install -r requirements/kani.txt"]
    base = inherited("base")
    assert all(inherited(image)[: len(base)] == base for image in IMAGES)
    linked = [[value for name, value in STAGES[image].lines if name == "COPY"] for image in IMAGES]
    assert linked[0] == linked[1]


def test_traces_image_finds_its_requirements() -> None:
    with DOCKERFILE.with_name("Dockerfile.traces").open("rb") as file_on_top:
        lines = DockerfileParser(fileobj=file_on_top).structure
    (command,) = [line["value"] for line in lines if line["instruction"] == "RUN"]
    file = shlex.split(command)[-1]
    assert (ROOT / file).is_file() and not ignored(file)


def test_files_of_the_cpu_image_suffice_to_speak(image: Image) -> None:
    assert not {"torch", "transformers", "numba"} & {each.name for each in image.packages}
    command, environment = image.command("--port", "0"), image.environment | {"KANI_API_KEYS": KEY}
    with subprocess.Popen(
        command, cwd=image.app, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            banner = list(takewhile(lambda line: line != "  stop     Ctrl+C\n", server.stdout))
            (port,) = [found["port"] for line in banner if (found := ADDRESS.search(line))]
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
                for path in ("/livez", "/health"):
                    assert client.get(path).status_code == 200
                key = {"authorization": f"Bearer {KEY}"}
                answer = client.post("/tts", json={"text": "Hola."}, headers=key)
                assert answer.status_code == 200 and len(answer.content) > 10_000
        finally:
            server.terminate()
            assert server.wait(WITHIN_S) == 0
    assert [line for line in banner if line.startswith("  decoder ")] == ["  decoder  litert\n"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "KANI_API_KEYS"),
        (["--no-auth", "--engine", "kani"], "needs torch: pip install -r requirements/kani.txt"),
        (["--no-auth", "--engine", "pocket"], "needs torch and pocket_tts: "),
    ],
)
def test_cpu_image_refuses_in_one_line(image: Image, arguments: list[str], named: str) -> None:
    command = image.command(*arguments, "--port", "0", "--log-level", "ERROR")
    done = ran(*command, code=2, cwd=image.app, env=image.environment)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("start_websocket_server.py: ") and named in line
