"""Says how packages are installed that not every installation has."""

from __future__ import annotations

from kani.runtime.child_process import INSTALLED

DISTRIBUTION = "kani-tts-server"


def install_command(extra: str, requirements: str) -> str:
    """Return the command that installs the packages of an extra.

    extra: its name in pyproject.toml, "" for the packages that every installation has; requirements: the file
    of a checkout that lists the same packages.
    """
    if not INSTALLED:
        return f"pip install -r {requirements}"
    return f'pip install "{DISTRIBUTION}[{extra}]"' if extra else f"pip install --upgrade {DISTRIBUTION}"
