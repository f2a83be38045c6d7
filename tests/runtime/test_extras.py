"""The commands that install missing packages, as a checkout and an installation name them."""

import shutil
from pathlib import Path

import pytest

from kani.runtime import extras
from tests.support.programs import python

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


def test_checkout_names_its_requirements_file() -> None:
    assert extras.install_command("kani", "requirements-kani.txt") == "pip install -r requirements-kani.txt"


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
    done = python("-P", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}")
    assert done.stdout.strip() == command
