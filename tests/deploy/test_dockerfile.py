"""deploy/Dockerfile, followed line by line in fresh folders, without a container engine.

A stage is a folder with /app, /cache and /data in it, built on a copy of the folder of the stage below. pip's
lines run as dry runs, and what they would install is linked into an environment of that stage: so an image is
tried with its own packages, not with all of this environment. apt-get and useradd change the machine, so they
are only checked.
"""

import fnmatch
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

import httpx
import pytest
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

from tests.conftest import ADDRESS, ROOT
from tests.deploy.environment import linked_environment, requirements
from tests.support.patience import WITHIN_S
from tests.support.programs import ran

pytestmark = pytest.mark.server

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
IMAGES = ("cpu", "cuda")
FOLDERS = ("app", "cache", "data")
KEY = "a-key-of-the-container"
ONLY_CHECKED = ("rm", "useradd", "mkdir", "chown")


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


def copy_context(source: str, target: Path) -> None:
    """Copy a file of the build context, or all of it, as a COPY instruction does."""
    listed = ran("git", "ls-files", "--", source).stdout.splitlines()
    names = [name for name in listed if not ignored(name)]
    assert names, f"{source} is not in the build context"
    for name in names:
        to = target / name if source == "." else target / Path(name).name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, to)


class Builder:
    """Builds stages, each once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: dict[str, list[Requirement]] = {}
        self.python: dict[str, Path] = {}
        self._tried: set[str] = set()

    def build(self, stage: str) -> Path:
        tree = self.folder / stage
        if stage in self.packages:
            return tree
        base = STAGES[stage].base
        if base in STAGES:
            # Times are kept, as layers keep them.
            shutil.copytree(self.build(base), tree)
            self.packages[stage] = [*self.packages[base]]
        else:
            self.packages[stage] = []
            for name in FOLDERS:
                (tree / name).mkdir(parents=True)
        for name, value in STAGES[stage].lines:
            if name == "COPY":
                self._copy(value, tree)
            elif name == "RUN":
                for command in value.split(" && "):
                    self._run(stage, shlex.split(command), tree)
        return tree

    def environment(self, stage: str) -> dict[str, str]:
        """Return the variables of a process in that stage, its folders instead of the container's."""
        tree = self.build(stage)
        folders = {"KANI_CACHE_DIR": str(tree / "cache"), "KANI_DATA_DIR": str(tree / "data")}
        return {**os.environ, **variables(stage), **folders}

    def python_of(self, stage: str) -> str:
        """Return the python of a stage, which has only the packages of its pip lines."""
        if stage not in self.python:
            self.python[stage] = linked_environment(self.folder / f"{stage}-env", self.packages[stage])
        return str(self.python[stage])

    def _copy(self, value: str, tree: Path) -> None:
        words = shlex.split(value)
        options = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
        source, target = (word for word in words if not word.startswith("--"))
        if "from" in options:
            assert (source, "link" in options) == (target, True)
            copied = self.build(options["from"]) / source.lstrip("/")
            shutil.copytree(copied, tree / target.lstrip("/"), dirs_exist_ok=True)
        else:
            copy_context(source, tree / "app" / target)

    def _run(self, stage: str, words: list[str], tree: Path) -> None:
        app = tree / "app"
        if words[0] == "apt-get":
            assert words[1] in ("update", "install"), words
        elif words[:2] == ["pip", "install"]:
            self._pip(stage, words, app)
        elif words[0] == "python":
            command = [self.python_of(stage), *words[1:]]
            subprocess.run(command, cwd=app, env=self.environment(stage), check=True)
        elif words[0] == "find":
            subprocess.run(words, cwd=app, check=True)
        else:
            assert words[0] in ONLY_CHECKED, words

    def _pip(self, stage: str, words: list[str], app: Path) -> None:
        asked = words[2:]
        self.packages[stage] += requirements(app / asked[1]) if asked[0] == "-r" else map(Requirement, asked)
        if (line := shlex.join(asked)) not in self._tried:
            self._tried.add(line)
            command = [sys.executable, "-m", "pip", "install", *asked, "--dry-run", "--quiet"]
            subprocess.run(command, cwd=app, check=True)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    return Builder(tmp_path_factory.mktemp("image"))


def entry_point(builder: Builder, image: str, *arguments: str) -> list[str]:
    return [builder.python_of(image), *json.loads(values(image, "ENTRYPOINT")[0])[1:], *arguments]


@contextmanager
def container(builder: Builder, image: str) -> Iterator[subprocess.Popen[str]]:
    """Run an image's entry point; it has to end well."""
    app = builder.build(image) / "app"
    environment = builder.environment(image) | {"KANI_API_KEYS": KEY}
    command = entry_point(builder, image, "--port", "0")
    with subprocess.Popen(command, cwd=app, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.terminate()
            assert server.wait(WITHIN_S) == 0


@pytest.mark.parametrize("image", IMAGES)
def test_image_runs_as_user_without_telemetry(image: str) -> None:
    # The user is set after everything that root installs, and a stage does not inherit that of another.
    own = [name for name, _ in STAGES[image].lines]
    assert values(image, "USER") == ["kani"] and "COPY" not in own[own.index("USER") :]
    assert variables(image)["ORT_DISABLE_TELEMETRY"] == variables(image)["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert values(image, "HEALTHCHECK") and values(image, "EXPOSE") == ["8001"]
    assert json.loads(values(image, "ENTRYPOINT")[0]) == ["python", "start_websocket_server.py"]


def test_cuda_adds_the_packages_of_the_kani_model_to_those_of_cpu() -> None:
    added = [value for value in values("cuda", "RUN") if value not in values("cpu", "RUN")]
    assert added == ["pip install -r requirements-kani.txt"]
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


def test_files_of_the_cpu_image_suffice_to_speak(builder: Builder) -> None:
    builder.build("cpu")
    assert not {"torch", "transformers", "numba"} & {each.name for each in builder.packages["cpu"]}
    with container(builder, "cpu") as server:
        assert server.stdout is not None
        banner = list(takewhile(lambda line: line != "  stop     Ctrl+C\n", server.stdout))
        (port,) = [found["port"] for line in banner if (found := ADDRESS.search(line))]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            for path in ("/livez", "/health"):
                assert client.get(path).status_code == 200
            answer = client.post("/tts", json={"text": "Hola."}, headers={"authorization": f"Bearer {KEY}"})
            assert answer.status_code == 200 and len(answer.content) > 10_000
    assert [line for line in banner if line.startswith("  decoder ")] == ["  decoder  litert\n"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "KANI_API_KEYS"),
        (["--no-auth", "--engine", "kani"], "needs torch: pip install -r requirements-kani.txt"),
        (["--no-auth", "--engine", "pocket"], "needs torch and pocket_tts: "),
    ],
)
def test_cpu_image_refuses_in_one_line(builder: Builder, arguments: list[str], named: str) -> None:
    app = builder.build("cpu") / "app"
    command = entry_point(builder, "cpu", *arguments, "--port", "0", "--log-level", "ERROR")
    done = ran(*command, code=2, cwd=app, env=builder.environment("cpu"))
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("start_websocket_server.py: ") and named in line
