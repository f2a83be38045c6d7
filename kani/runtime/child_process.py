"""Starts modules of this package as programs, in processes of their own."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2]
"""The folder that holds the package: a checkout, or the packages of an environment."""

INSTALLED = FOLDER.name in ("site-packages", "dist-packages")


def python_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """Return the command line of a module.

    The child imports the package from where this process has it. A checkout comes first in its search path:
    a version that is installed besides would be another program. An environment's packages come last, as
    ``python`` may be that of another environment, which has its own versions of them.
    """
    found = f"sys.path.append({str(FOLDER)!r})" if INSTALLED else f"sys.path.insert(0, {str(FOLDER)!r})"
    start = (
        f"import runpy, sys; {found}; del sys.argv[0]; "
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    # -P: no modules are loaded from the folder where the server happens to be started.
    return [python, "-P", "-c", start, module, *arguments]
