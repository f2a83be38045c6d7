"""Names of models as settings have them: a folder, or a hub's ``OWNER/NAME[@REVISION]``."""

from __future__ import annotations

import re
from pathlib import Path

from kani.core.errors import EngineUnavailable

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", re.ASCII)


def local_path(name: str) -> Path:
    """Return the path that a name may be, with a home folder for its ``~``; the path may not exist."""
    path = Path(name)
    try:
        return path.expanduser()
    except RuntimeError:  # there is no such user
        return path


def check_name(name: str, setting: str) -> None:
    """Check that a model is here, or that its name can be one on a hub.

    setting: that which names it. Raises EngineUnavailable.
    """
    if not local_path(name).exists() and not HUB_NAME.fullmatch(name):
        raise EngineUnavailable(
            f"{setting}: {name!r} is neither here nor a model's name on a hub (OWNER/NAME)"
        )


def existing_folder(name: str, setting: str) -> Path:
    """Return the folder that a setting names. Raises EngineUnavailable where there is none."""
    folder = local_path(name)
    if not folder.is_dir():
        raise EngineUnavailable(f"{setting}: there is no folder {folder}")
    return folder


def short_name(name: str) -> str:
    """Return the last part of a name, that of a hub's without its revision."""
    last = name.rstrip("/").rpartition("/")[2]
    is_hubs = HUB_NAME.fullmatch(name) is not None and not local_path(name).is_dir()
    return last.partition("@")[0] if is_hubs else last
