"""Voices of KaniTTS-2 in files: a speaker embedding each, as its makers publish them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from kani.engines.plugin import VOICES
from kani.runtime.errors import CheckpointError

MAX_VOICES = 1000
MAX_BYTES = 1 << 16

_NAME = re.compile(r"[\w.-]{1,64}")


def read_voices(folder: Path, size: int) -> dict[str, tuple[float, ...]]:
    """Read the voices of a folder: embeddings of ``size`` numbers and length 1, by the names of their files.

    ``.pt`` files are read without their pickle's code. Raises CheckpointError, which names the file.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{VOICES}: there is no folder {folder}")
    found: dict[str, tuple[float, ...]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".pt", ".npy") or not path.is_file() or len(found) >= MAX_VOICES:
            continue
        values = _read(path)
        length = float(np.linalg.norm(values)) if values.size == size else 0.0
        if _NAME.fullmatch(path.stem) is None or not np.isfinite(length) or not length:
            raise CheckpointError(f"{path.name} is no voice of this model: {size} numbers, not all of them 0")
        found[path.stem.lower()] = tuple((values / length).tolist())
    return found


def _read(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path.name} is too large (at most {MAX_BYTES >> 10} KiB)")
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), np.float64).ravel()
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        return np.asarray(torch.as_tensor(loaded).to(torch.float64)).ravel()
    except Exception as error:  # a damaged file makes torch and pickle raise whatever they like
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
