"""Finds a checkpoint of VoxCPM, and checks it before the package reads it: the package loads what it can.

No library but the standard one, and the hub's where a checkpoint has to be found there.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.voxcpm import published
from kani.runtime.extras import install_command
from kani.runtime.weights import matches_its_name

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CODEC_WEIGHTS = ("audiovae.safetensors", "audiovae.pth")
_CONFIGS = ("lm_config", "encoder_config", "dit_config")
_CURE = "remove it and fetch it again by --fetch --engine voxcpm, or name another folder (KANI_VOXCPM_MODEL)"
_MAX_CONFIG_BYTES = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is complete."""

    folder: Path
    architecture: str  # voxcpm or voxcpm2
    encode_rate: int  # hertz of the recordings that it encodes


def find(model: str | None, cache: Path, *, may_fetch: bool) -> Checkpoint:
    """Return the checkpoint that the settings name, fetched if it may be. cache: folder of fetched files.

    Raises EngineUnavailable, naming the file and the cure.
    """
    name = model or published.DEFAULT_MODEL
    folder = Path(name).expanduser()
    return check(folder if folder.is_dir() else _fetched(name, cache, may_fetch=may_fetch))


def _fetched(name: str, cache: Path, *, may_fetch: bool) -> Path:
    try:
        from kani.runtime.errors import CheckpointError
        from kani.runtime.hub import Hub
    except ModuleNotFoundError as error:
        install = install_command("kani", "requirements-kani.txt")
        raise EngineUnavailable(
            f"fetching {name} needs {error.name}: {install}, or name a folder that holds the checkpoint "
            "(KANI_VOXCPM_MODEL)"
        ) from error
    files = published.DEFAULT_FILES if name == published.DEFAULT_MODEL else published.FILES
    try:
        return Hub(cache, may_fetch, log.info).find_files(name, files)
    except CheckpointError as error:
        raise EngineUnavailable(f"the VoxCPM engine cannot start: {error}") from error


def check(folder: Path) -> Checkpoint:
    """Check that a folder holds a whole checkpoint. Raises EngineUnavailable."""
    config = _config(folder / "config.json")
    architecture = str(config.get("architecture", "voxcpm")).lower()
    missing = [name for name in _CONFIGS if not isinstance(config.get(name), dict)]
    if missing or architecture not in published.LANGUAGES:
        raise EngineUnavailable(
            f"{folder / 'config.json'} is of another architecture than VoxCPM's "
            f"({f'{missing[0]} is missing' if missing else architecture}): {_CURE}"
        )
    for kinds in (_WEIGHTS, _CODEC_WEIGHTS):
        _check_file(_one_of(folder, kinds))
    _one_of(folder, ("tokenizer.json", "tokenizer.model"))
    codec = config.get("audio_vae_config") or {}
    rate = codec.get("sample_rate", published.ENCODE_RATE) if isinstance(codec, dict) else None
    if type(rate) is not int or not 8_000 <= rate <= 96_000:
        raise EngineUnavailable(f"{folder / 'config.json'} has no valid sample_rate of its codec: {_CURE}")
    return Checkpoint(folder, architecture, rate)


def _config(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_CONFIG_BYTES))
    except OSError as error:
        raise EngineUnavailable(f"{path} cannot be read ({error.strerror}): {_CURE}") from error
    except ValueError as error:
        raise EngineUnavailable(f"{path} is not JSON: {_CURE}") from error
    if not isinstance(content, dict):
        raise EngineUnavailable(f"{path} is not a configuration: {_CURE}")
    return content


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise EngineUnavailable(f"{folder} has no {' and no '.join(names)}: {_CURE}")


def _check_file(path: Path) -> None:
    """Check a fetched file by its SHA-256, and the length of a safetensors file by its own table."""
    try:
        if not matches_its_name(path):
            raise EngineUnavailable(f"{path} fails its SHA-256: {_CURE}")
        whole = path.suffix != ".safetensors" or path.stat().st_size == _length(path)
    except OSError as error:
        raise EngineUnavailable(f"{path} cannot be read ({error.strerror}): {_CURE}") from error
    if not whole:
        raise EngineUnavailable(f"{path} is not a whole safetensors file: {_CURE}")


def _length(path: Path) -> int:
    """Return the bytes that a safetensors file's table describes; -1 where there is none. Raises OSError."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 0 < size < path.stat().st_size:
            return -1
        try:
            table = json.loads(file.read(size))
            ends = [entry["data_offsets"][1] for name, entry in table.items() if name != "__metadata__"]
            return 8 + size + int(max(ends))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return -1
