"""Files of a checkpoint that another maker's package reads: found, fetched, and checked before it does.

No library but the standard one, and the hub's where files have to be found there.
"""

import json
import logging
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.runtime.errors import CheckpointError
from kani.runtime.extras import install_command
from kani.runtime.model_names import matches_its_name
from kani_text.foreign.files import open_regular, read_regular

MAX_JSON_BYTES = 64 << 20
"""Longest JSON of a checkpoint; that of a large vocabulary has 10 MB."""

log = logging.getLogger(__name__)


def fetched(name: str, files: tuple[str, ...] | str, cache: Path, setting: str, *, may_fetch: bool) -> Path:
    """Return the folder of a hub's repository, fetched if it may be, or a file of it.

    files: patterns of what is needed, or the one pattern of the file that is returned; cache: folder of
    fetched files; setting: that which names a folder instead. Raises EngineUnavailable.
    """
    try:
        from kani.runtime.hub import Hub
    except ModuleNotFoundError as error:
        install = install_command("kani", "requirements/kani.txt")
        raise EngineUnavailable(
            f"fetching {name} needs {error.name}: {install}, or name a folder that holds it ({setting})"
        ) from error
    hub = Hub(cache, may_fetch, log.info)
    try:
        return hub.find_file(name, files) if isinstance(files, str) else hub.find_files(name, files)
    except CheckpointError as error:
        raise EngineUnavailable(f"{error} ({setting})") from error


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file. Raises CheckpointError."""
    try:
        content = json.loads(read_regular(path, MAX_JSON_BYTES))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent.name} has no {path.name}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is not a JSON object")
    return content


def check_files(*paths: Path) -> None:
    """Check fetched files by their SHA-256, and the length of safetensors files by their own tables.

    Raises CheckpointError.
    """
    for path in paths:
        try:
            if not matches_its_name(path):
                raise CheckpointError(f"{path} fails its SHA-256")
            if path.suffix == ".safetensors" and path.stat().st_size != _length(path):
                raise CheckpointError(f"{path} is not a whole safetensors file")
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error


def _length(path: Path) -> int:
    """Return the bytes that a safetensors file's table describes; -1 where there is none. Raises OSError."""
    with open_regular(path) as file:
        size = int.from_bytes(file.read(8), "little")
        if not 0 < size < path.stat().st_size:
            return -1
        try:
            table = json.loads(file.read(size))
            ends = [entry["data_offsets"][1] for name, entry in table.items() if name != "__metadata__"]
            return 8 + size + int(max(ends))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return -1
