"""Reads the files of a checkpoint: safetensors and JSON; no pickle, and no code from a checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from kani.runtime.errors import CheckpointError
from kani_text.foreign.files import read_regular

MAX_JSON_BYTES = 64 << 20
"""Longest JSON of a checkpoint; that of a large vocabulary has 10 MB."""


def weight_files(folder: Path) -> list[Path]:
    """Return a checkpoint's safetensors files. Raises CheckpointError for one that is missing."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.exists():
        shards = read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(f"{index.name}: weight_map must be an object with at least one entry")
        names = {str(name) for name in shards.values()}
    paths = []
    for name in sorted(names):
        # A shard's name comes from an untrusted file.
        if Path(name).name != name or not (path := folder / name).is_file():
            raise CheckpointError(f"{folder.name} has no file {name!r}")
        paths.append(path)
    return paths


def open_weights(path: Path) -> Any:
    """Open a safetensors file for reading, a context manager. Raises CheckpointError, naming the file."""
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a safetensors file: {error}") from error


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object from a file. Raises CheckpointError."""
    try:
        content = json.loads(read_regular(path, MAX_JSON_BYTES))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent.name} has no {path.name}") from error
    except (ValueError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path.name} is not a JSON object")
    return content
