"""The package: its metadata, and what it does in an environment that has nothing else."""

import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator, Sequence
from email import message_from_bytes
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.deploy.environment import requirements
from tests.support.patience import WITHIN_S
from tests.support.programs import ran

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {
    "requirements.txt": ["chinese", "japanese"],
    "requirements/kani.txt": ["kani"],
    "deploy/requirements-bucket.txt": ["bucket"],
    "deploy/requirements-traces.txt": ["traces"],
    "deploy/requirements-ray.txt": ["ray"],
    "deploy/requirements-mcp.txt": ["mcp"],
    "deploy/requirements-webrtc.txt": ["webrtc"],
}
"""The extras with packages in a file; the first has those of every installation, too."""


def ranges(names: Sequence[str], *, base: bool = False) -> dict[str, Requirement]:
    lines = [line for name in names for line in EXTRAS[name]] + (PROJECT["dependencies"] if base else [])
    return {found.name: found for found in map(Requirement, lines)}


@pytest.mark.parametrize("file", LOCKS)
def test_requirements_are_versions_of_the_packages_ranges(file: str) -> None:
    wanted = ranges(LOCKS[file], base=file == "requirements.txt")
    locked = {found.name: found for found in requirements(ROOT / file)}
    assert locked.keys() == wanted.keys()
    for name, found in locked.items():
        (version,) = found.specifier
        assert version.operator == "=="
        assert wanted[name].specifier.contains(version.version), f"{file}: {found} is not {wanted[name]}"
        assert (found.extras, str(found.marker)) == (wanted[name].extras, str(wanted[name].marker))


@pytest.mark.parametrize("extra", ["pocket", "voxcpm"])
def test_extra_is_its_environments_package(extra: str) -> None:
    (package,) = ranges([extra]).values()
    listed = requirements(ROOT / f"requirements/{extra}.txt")
    (locked,) = [each for each in listed if each.name == package.name]
    (version,) = locked.specifier
    assert package.specifier.contains(version.version)


PARTS = tuple(runpy.run_path(str(ROOT / "deploy" / "divide_wheel.py"))["PARTS"].values())
RELATIVE = re.compile(r'\]\((?!https?:)|src="(?!https:)')
"""The start of a link that leads nowhere outside the repository."""


def test_package_readme_is_the_readme_without_relative_links() -> None:
    written = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = ProjectMetadata(str(ROOT), PluginManager()).core.readme
    assert RELATIVE.search(written) and not RELATIVE.search(readme)
    assert "<http://localhost:8001/>" in readme and "](https://docs.astral.sh/uv/)" in readme
    assert "Open WebUI" in readme and readme.count("\n") == written.count("\n") - 2  # without the picture


class Installed:
    """An environment with the wheel and its packages, used from a folder outside the checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        left_out = ("KANI_", "PYTHON", "VIRTUAL_ENV")
        outside = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        own = {"XDG_STATE_HOME": str(folder / "state"), "XDG_DATA_HOME": str(folder / "data")}
        self._environment = outside | own
        venv.create(folder / "environment", with_pip=False, symlinks=True)
        self.bin = folder / "environment" / "bin"
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")], cwd=ROOT, check=True
        )
        self.wheel = next((folder / "dist").glob("*.whl"))
        self.sdist = next((folder / "dist").glob("*.tar.gz"))
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "-q"]
        subprocess.run([*pip, "--disable-pip-version-check", "--no-compile", str(self.wheel)], check=True)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return ran(self.bin / command[0], *command[1:], cwd=self.folder, env=self._environment)

    def serve(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(self.bin / "kani-tts"), "serve", *arguments],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("package"))


@pytest.fixture
def served(installed: Installed) -> Iterator[str]:
    """Address of a server; with espeak-ng, as every sentence of the diagnostics takes Kokoro a second."""
    with installed.serve("--port", "0", "--engine", "espeak") as process:
        try:
            assert process.stdout is not None
            yield next(line.split()[1] for line in process.stdout if line.startswith("  address"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN_S) == 0
        finally:
            process.kill()


@pytest.mark.heard
def test_built_files_have_the_package_readme_and_hold_the_product_alone(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel, tarfile.open(installed.sdist) as sdist:
        holds = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
        assert holds == {"kani", "kani_text", "websocket_client.py", "websocket_config.py"}
        sizes = {each.filename: each.compress_size for each in wheel.infolist()}
        parts = {name: size for name, size in sizes.items() if name.startswith(PARTS)}
        assert {*parts} == {f"{part}{path.name}" for part in PARTS for path in (ROOT / part).iterdir()}
        # deploy/divide_wheel.py makes parts of it that a registry takes.
        assert sum(sizes.values()) - sum(parts.values()) < 95_000_000
        (metadata,) = (wheel.read(name) for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        folder = sdist.getnames()[0].partition("/")[0]
        information = sdist.extractfile(f"{folder}/PKG-INFO")
        assert information is not None
        assert f"{folder}/deploy/package_readme.py" in sdist.getnames()  # to build a wheel from it
        texts = [str(message_from_bytes(each).get_payload()) for each in (metadata, information.read())]
    assert texts[0] == texts[1] and "## Install and speak" in texts[0] and not RELATIVE.search(texts[0])


@pytest.mark.heard
def test_installed_command_speaks_and_hears(installed: Installed) -> None:
    sentence = "Buenos días, el tren sale a las nueve."
    told = installed.run("kani-tts", "say", sentence, "-o", "speech.wav")
    assert "s of speech by ef_dora" in told.stderr
    heard = installed.run("python", "-m", "kani", "listen", "speech.wav").stdout
    assert re.sub(r"\W+", " ", heard.lower()).split()[:5] == ["buenos", "días", "el", "tren", "sale"]


@pytest.mark.heard
def test_installed_library_is_typed_and_without_a_checkout(installed: Installed) -> None:
    code = "import json, kani, kani.library.blocking as b, sys; print(json.dumps([kani.__file__, sys.path]))"
    where, path = json.loads(installed.run("python", "-P", "-c", code).stdout)
    assert Path(where).is_relative_to(installed.bin.parent)
    assert not [entry for entry in path if entry.startswith(str(ROOT))]
    assert (Path(where).parent / "py.typed").exists()


@pytest.mark.heard
def test_installed_server_passes_the_diagnostics(installed: Installed, served: str) -> None:
    assert "All checks passed." in installed.run("kani-tts", "check", "--server", served).stdout
    told = installed.run("kani-tts", "say", "Hola.", "-o", "hola.wav", "--server", served)
    assert "by espeak" in told.stderr


@pytest.mark.heard
def test_cures_of_an_installation_name_packages_that_exist(installed: Installed) -> None:
    """It has no requirements file, and no index has the package."""
    command = "from kani.runtime.extras import install_command; print(install_command({!r}, 'file'))"
    told = {extra: installed.run("python", "-c", command.format(extra)).stdout for extra in ("", *EXTRAS)}
    for extra, cure in told.items():
        assert cure.startswith("pip install ") and "kani" not in cure
        words = [word for word in shlex.split(cure)[2:] if not word.startswith("--")]
        named = {Requirement(word).name.lower() for word in words}
        wanted = {Requirement(line).name.lower() for line in EXTRAS.get(extra, PROJECT["dependencies"])}
        # Of an extra only what is missing; of the packages that are all here each, as one is broken.
        assert named <= wanted and ("--force-reinstall" in cure) == (named == wanted and not extra), extra
    missing = "import sys; sys.modules['uvicorn'] = None; sys.argv = ['kani-tts', 'serve']; "
    missing += "from kani.cli.main import main; main()"
    done = ran(installed.bin / "python", "-c", missing, code=2)
    assert "uvicorn is missing: run pip install " in done.stderr


@pytest.mark.heard
def test_command_names_what_it_does_not_know(installed: Installed) -> None:
    told = ran(installed.bin / "kani-tts", "sing", code=2).stderr
    assert told == "kani-tts: 'sing' is no command; kani-tts --help lists them\n"
    assert "worker ADDRESS" in installed.run("kani-tts", "--help").stdout
    assert installed.run("kani-tts", "--version").stdout.startswith("kani-tts ")
