"""Reads the safetensors of a checkpoint; no pickle, and no code from a checkpoint."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from kani.runtime.errors import CheckpointError
from kani.runtime.packages.checkpoint import read_json


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
