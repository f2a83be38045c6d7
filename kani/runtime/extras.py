"""Says how this program is installed, and how the packages that it lacks are.

It needs the standard library only: it is asked where any package may be missing.
"""

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2]
"""The folder that holds the package: a checkout, or the packages of an environment."""

INSTALLED = FOLDER.name in ("site-packages", "dist-packages")

DISTRIBUTION = "kani-tts-server"
"""Name in the installation's metadata. No package index has it, so no command may install it by this name."""

_EXTRA = re.compile(r"""\s*(?:;|\band\b)\s*extra\s*==\s*["']([^"']+)["']""")
_SYSTEM = re.compile(r"""sys_platform\s*(==|!=)\s*["']([^"']+)["']""")
_NAME = re.compile(r"[\w.-]+")


FETCH = "kani-tts fetch" if INSTALLED else "python start_websocket_server.py --fetch"
"""The command that fetches model files."""


def install_command(extra: str, requirements: str, *names: str) -> str:
    """Return the command that installs the packages of an extra.

    extra: its name in pyproject.toml, "" for the packages that every installation has; requirements: the file
    of a checkout that lists the same packages; names: only these packages of them. An installation has no
    such file, so the packages themselves are named: those that are missing. If all are there, one of them is
    broken or of another version, and pip replaces them.
    """
    packages = [each for each in _packages(extra) if not names or _name(each) in names] if INSTALLED else []
    if not packages:
        return f"pip install -r {requirements}"
    missing = [package for package in packages if not _is_installed(package)]
    options = "" if missing else "--force-reinstall "
    return f"pip install {options}" + " ".join(f'"{package}"' for package in missing or packages)


def _packages(extra: str) -> Iterator[str]:
    """Yield the requirements of an extra, as the installation's metadata have them."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return
    for line in lines:
        found, system = _EXTRA.search(line), _SYSTEM.search(line)
        if system is not None and (system[1] == "==") != (sys.platform == system[2]):
            continue
        if (found.group(1) if found else "") == extra:
            yield _EXTRA.sub("", line).replace('"', "'")


def _name(requirement: str) -> str:
    found = _NAME.match(requirement)
    return found.group() if found else ""


def _is_installed(requirement: str) -> bool:
    try:
        distribution(_name(requirement))
    except PackageNotFoundError:
        return False
    return True
