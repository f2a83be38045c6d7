"""Names of models as settings have them: a folder, or a hub's ``OWNER/NAME[@REVISION]``."""

import hashlib
import re
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani_text.foreign.files import open_regular

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?", re.ASCII)

_SHA256 = re.compile(r"[0-9a-f]{64}")


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


def matches_its_name(path: Path) -> bool:
    """Return False for a file of a model hub's cache that does not match its SHA-256, which names it there.

    Any other file is not checked. Raises OSError.
    """
    content = path.resolve(strict=True)
    if not _SHA256.fullmatch(content.name):
        return True
    with open_regular(content) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == content.name
