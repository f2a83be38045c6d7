"""Programs that cannot start: a package is missing, Python is too old, Ctrl+C comes early."""

import ast
import os
import shutil
import subprocess
import sys

import pytest

from kani.cli.prerequisites import OLDEST_PYTHON
from tests.running.sources import ROOT
from tests.support.programs import ran

SERVER, PROGRAMS = "start_websocket_server.py", ("websocket_client.py", "test_websocket.py")
PACKAGES = (
    *("pydantic", "dotenv", "platformdirs", "msgspec", "starlette", "uvicorn", "websockets"),
    *("prometheus_client", "numpy", "soxr", "av", "python_multipart", "onnxruntime", "espeakng_loader"),
)
# A package that is None in sys.modules is missing to `import` and to importlib.util.find_spec.
WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys({missing!r}))
sys.argv[:] = {arguments!r}
sys.path[0] = {folder!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
OLD_PYTHON = "import sys\nsys.version_info = {version!r}\n"
INTERRUPTED_BY = """
import importlib.abc, os, signal, sys
class CtrlC(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {package!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, CtrlC())
"""


def run(
    *arguments: str, code: int = 2, missing: tuple[str, ...] = (), before: str = "", by: str = sys.executable
) -> str:
    """Run a program by a Python, after ``before`` and without the packages ``missing``; its complaints."""
    given = [str(ROOT / arguments[0]), *arguments[1:]]
    program = before + WITHOUT.format(missing=missing, arguments=given, folder=str(ROOT))
    # The server warns of variables that are no settings of it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KANI_")}
    complaint = ran(by, "-B", "-c", program, code=code, env=environment).stderr
    assert code != 2 or complaint.count("\n") == 1
    return complaint


@pytest.mark.server
@pytest.mark.parametrize("package", PACKAGES)
def test_server_names_a_missing_package_and_the_remedy(package: str) -> None:
    line = run(SERVER, "--engine", "kokoro", "--port", "0", missing=(package,))
    assert line.startswith(f"{SERVER}: the package {package} is missing: run pip install -r requirements.txt")
    assert sys.executable in line


@pytest.mark.server
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("package", PACKAGES)
def test_client_needs_websockets_alone(program: str, package: str) -> None:
    needed = package == "websockets"
    line = run(program, "--help", code=2 if needed else 0, missing=(package,))
    assert line.count("\n") == needed
    told = f"{program}: the package websockets is missing: run pip install websockets in "
    assert line.startswith(told if needed else "")


@pytest.mark.server
def test_an_error_of_the_project_keeps_its_traceback() -> None:
    assert "Traceback" in run(SERVER, "--version", code=1, missing=("kani.server",))


@pytest.mark.server
def test_a_package_of_another_version_is_named_in_one_line() -> None:
    broken = "import types, sys\nsys.modules['websockets'] = types.ModuleType('websockets')\n"
    assert run(PROGRAMS[0], "--help", before=broken).startswith(f"{PROGRAMS[0]}: the package websockets")


@pytest.mark.server
@pytest.mark.parametrize("program", [SERVER, *PROGRAMS])
@pytest.mark.parametrize("version", [(3, 8, 20), (3, 9, 2), (3, 10, 12)])
def test_an_old_python_is_told_which_one_is_needed(program: str, version: tuple[int, ...]) -> None:
    line = run(program, "--help", before=OLD_PYTHON.format(version=version))
    assert line.startswith(f"{program}: this needs Python 3.11 or later, and {sys.executable} is 3.")


@pytest.mark.parametrize("program", [SERVER, *PROGRAMS])
def test_python_3_8_can_read_what_tells_it(program: str) -> None:
    modules = {SERVER: "serve", "websocket_client.py": "client", "test_websocket.py": "check"}
    own = ("__init__", "main", "prerequisites", "programs", modules[program])
    package = ("kani/__init__.py", "kani/__main__.py", "kani/no_telemetry.py", "websocket_config.py")
    for file in (program, *package, *(f"kani/cli/{name}.py" for name in own)):
        ast.parse((ROOT / file).read_text(encoding="utf-8"), file, feature_version=(3, 8))


@pytest.fixture(scope="module")
def old_python() -> str:
    for name in ("python3.8", "python3.9", "python3.10", "pypy3.9"):
        # pyenv puts a file of each name on the path, whatever it has.
        path = shutil.which(name)
        if path and not subprocess.run([path, "-c", ""], capture_output=True).returncode:
            return path
    pytest.skip("no Python 3.8, 3.9 or 3.10 on this machine")


@pytest.mark.server
@pytest.mark.parametrize("program", [SERVER, *PROGRAMS])
def test_a_real_old_python_is_told(old_python: str, program: str) -> None:
    told = run(program, "--help", by=old_python)
    assert told.startswith(f"{program}: this needs Python 3.11 or later")


def test_the_oldest_python_is_that_of_the_package() -> None:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    assert f'requires-python = ">={oldest}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'# requires-python = ">={oldest}"' in (ROOT / SERVER).read_text(encoding="utf-8")


@pytest.mark.server
@pytest.mark.parametrize(
    ("program", "package"),
    [
        *((SERVER, package) for package in ("pydantic", "uvicorn", "onnxruntime")),
        *((program, "websockets") for program in PROGRAMS),
    ],
)
def test_ctrl_c_while_packages_are_imported_is_one_line(program: str, package: str) -> None:
    arguments = ("--engine", "kokoro", "--port", "0") if program == SERVER else ("--help",)
    line = run(program, *arguments, code=130, before=INTERRUPTED_BY.format(package=package))
    assert line == f"{program}: interrupted\n"
