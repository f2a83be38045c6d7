"""Makers' packages: their environments, made on request, and the commands that install missing ones."""

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kani.core.errors import EngineUnavailable
from kani.engines.packages.package import Package
from kani.engines.plugin import Resources
from kani.engines.plugin_settings import PluginSettings
from kani.runtime import extras
from kani.runtime.packages.environment import LISTED, PackageEnvironment
from tests.support.programs import python as run_python

NAME = "stand_in_package"


def wheel(folder: Path, version: str) -> Path:
    path = folder / f"{NAME}-{version}-py3-none-any.whl"
    info = f"{NAME}-{version}.dist-info"
    files = {
        f"{NAME}.py": "",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in files) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(name, content)
    return path


def environment(packages: Path | str) -> PackageEnvironment:
    return PackageEnvironment(
        engine="Stand_in", modules=(NAME,), packages=str(packages), size="2 kB", licence="MIT",
    )  # fmt: skip


@pytest.mark.server
def test_environment_is_made_once_and_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PATH", "")
    told: list[str] = []
    made = environment(wheel(tmp_path, "1.0"))
    made.make(tmp_path, told.append)
    assert len(told) == 1 and "(2 kB, licence: MIT)" in told[0] and str(tmp_path / "environment") in told[0]
    python = str(made.python_in(tmp_path))
    made.check(python)
    made.make(tmp_path, told.append)
    assert len(told) == 1
    package = Package("stand_in", made, "module:Class", lambda chosen, resources: {"found": "here"})
    chosen = PluginSettings()
    # An environment of the user's own is taken as it is.
    for given in (Resources(tmp_path), Resources(tmp_path / "other", pythons={"stand_in": python})):
        package.prepare(chosen, given)
        found = package.worker(chosen, given)
        assert (found.python, found.settings["found"]) == (python, "here")
    assert made.made_python(tmp_path / "other") is None
    pinned = replace(made, packages=f"{NAME}==1.1", exact=True)
    with pytest.raises(EngineUnavailable, match=rf"runs with {NAME}==1.1 only, and this is {NAME}==1.0: "):
        pinned.check(python)
    assert replace(made, modules=(NAME, "none_of_it")).missing(python) == ["none_of_it"]
    newer = environment(wheel(tmp_path, "1.1"))
    with pytest.raises(EngineUnavailable, match=r"is not complete, or of another version: .*--fetch"):
        replace(package, environment=newer).worker(chosen, Resources(tmp_path))
    newer.make(tmp_path, told.append)
    assert len(told) == 2
    pinned.check(python)
    with pytest.raises(
        EngineUnavailable, match=r"cannot be made .*it ended with 1.*KANI_PYTHONS=stand_in="
    ) as why:
        environment("a-package-that-is-not-there").make(tmp_path, told.append)
    assert why.value.passing and "\n" not in str(why.value)
    # What was interrupted is not the version before any more.
    assert not (tmp_path / "environment" / LISTED).exists()


def test_uv_makes_it_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uv, asked = tmp_path / "uv", tmp_path / "asked.txt"
    uv.write_text(
        f"#!{sys.executable}\nimport sys\nopen({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
    )
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    made = environment("one==1 two")
    (tmp_path / "environment").mkdir()
    made.make(tmp_path, lambda line: None)
    venv, install = asked.read_text().splitlines()
    assert venv.startswith("venv --allow-existing --python ") and venv.endswith(str(tmp_path / "environment"))
    assert install == f"pip install --python {made.python_in(tmp_path)} one==1 two"


def test_python_that_hangs_or_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for exe in ("/nowhere/python", "/bin/true", __file__):
        with pytest.raises(EngineUnavailable, match=f"{exe} cannot be run as a Python.*KANI_PYTHONS has"):
            environment("").check(exe)

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("python", 60)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(EngineUnavailable, match=r"cannot be run as a Python.*TimeoutExpired"):
        environment("").check("python")


METADATA = """\
Metadata-Version: 2.4
Name: kani-tts-server
Version: 0.1.0
Requires-Dist: pytest<10,>=1
Requires-Dist: not-here[more]<3,>=2.1; sys_platform != 'win32'
Requires-Dist: not-there==1.0; extra == 'one'
Requires-Dist: pytest<10,>=1; extra == 'one'
Requires-Dist: pytest<10,>=1; (os_name != "no") and extra == "two"
"""


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ("'', 'file.txt'", """pip install "not-here[more]<3,>=2.1; sys_platform != 'win32'\""""),
        ("'one', 'file.txt'", 'pip install "not-there==1.0"'),
        ("'one', 'file.txt', 'pytest'", 'pip install --force-reinstall "pytest<10,>=1"'),
        ("'two', 'file.txt'", """pip install --force-reinstall "pytest<10,>=1; (os_name != 'no')\""""),
        ("'none', 'file.txt'", "pip install -r file.txt"),
    ],
)
def test_missing_packages_are_named_and_broken_replaced(given: str, command: str, tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    (folder / "kani_tts_server-0.1.0.dist-info").mkdir(parents=True)
    (folder / "kani_tts_server-0.1.0.dist-info" / "METADATA").write_text(METADATA, encoding="utf-8")
    (folder / "kani" / "runtime").mkdir(parents=True)
    shutil.copy(extras.__file__, folder / "kani" / "runtime")
    code = f"from kani.runtime.extras import install_command as i; print(i({given}))"
    done = run_python("-P", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}")
    assert done.stdout.strip() == command
    # A checkout names its requirements file.
    assert extras.install_command("kani", "requirements/kani.txt") == "pip install -r requirements/kani.txt"
