"""Files of a client: only below the folders that it names as its roots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

MAX_NAME = 4096


class FileRefused(Exception):
    """A file that a client may not name; ``str()`` says why."""


def folders(addresses: Sequence[str]) -> list[Path]:
    """Return the folders of roots, as ``file://`` addresses; others name none."""
    parts = (urlsplit(address) for address in addresses)
    local = [part for part in parts if part.scheme == "file" and part.netloc in ("", "localhost")]
    return [Path(url2pathname(part.path)).resolve() for part in local]


def allowed(name: str, roots: Sequence[Path]) -> Path:
    """Return the file that a client names, links followed; a relative name is below the first root.

    Raises FileRefused.
    """
    if not roots:
        raise FileRefused("file: this client names no folders (roots), so no file can be read or written")
    if "\0" in name or len(name) > MAX_NAME:
        raise FileRefused("file: is no name of a file")
    try:
        path = (roots[0] / Path(name).expanduser()).resolve()
    except (OSError, RuntimeError) as error:
        raise FileRefused(f"file: {name!r} cannot be followed") from error
    if not any(path.is_relative_to(root) for root in roots):
        listed = ", ".join(map(str, roots))
        raise FileRefused(f"file: {name!r} is outside of the folders that this client opens: {listed}")
    return path
