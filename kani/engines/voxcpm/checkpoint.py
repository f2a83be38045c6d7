"""Finds a checkpoint of VoxCPM, and checks it before the package reads it: the package loads what it can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.packages.adapter import RECORDING_RATE
from kani.engines.plugin import Resources
from kani.engines.voxcpm import published
from kani.engines.voxcpm.settings import VoxCPMSettings
from kani.runtime.model_names import local_path
from kani.runtime.packages.checkpoint import check_file, fetched, read_config

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CODEC_WEIGHTS = ("audiovae.safetensors", "audiovae.pth")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model")
_CONFIGS = ("lm_config", "encoder_config", "dit_config")


def find(settings: VoxCPMSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings: the checkpoint that the settings name, fetched if it may be.

    Raises EngineUnavailable, naming the file and the cure.
    """
    name = settings.model or published.DEFAULT_MODEL
    folder = local_path(name)
    if not folder.is_dir():
        files = published.DEFAULT_FILES if name == published.DEFAULT_MODEL else published.FILES
        cache, may_fetch = resources.cache_dir, resources.may_fetch
        folder = fetched(
            name, files, cache, engine="VoxCPM", setting="KANI_VOXCPM_MODEL", may_fetch=may_fetch
        )
    return {"folder": str(folder.resolve()), "denoiser": settings.denoiser} | check(folder)


def check(folder: Path) -> dict[str, Any]:
    """Check that a folder holds a whole checkpoint; return ``architecture`` and ``recording_rate``.

    Raises EngineUnavailable.
    """
    config = read_config(folder / "config.json", published.CURE)
    architecture = str(config.get("architecture", "voxcpm")).lower()
    missing = [name for name in _CONFIGS if not isinstance(config.get(name), dict)]
    if missing or architecture not in published.LANGUAGES:
        raise EngineUnavailable(
            f"{folder / 'config.json'} is of another architecture than VoxCPM's "
            f"({f'{missing[0]} is missing' if missing else architecture}): {published.CURE}"
        )
    for kinds in (_WEIGHTS, _CODEC_WEIGHTS, _TOKENIZERS):
        check_file(_one_of(folder, kinds), published.CURE)
    codec = config.get("audio_vae_config") or {}
    rate = codec.get("sample_rate", published.ENCODE_RATE) if isinstance(codec, dict) else None
    if type(rate) is not int or not 8_000 <= rate <= 96_000:
        raise EngineUnavailable(
            f"{folder / 'config.json'} has no valid sample_rate of its codec: {published.CURE}"
        )
    return {"architecture": architecture, RECORDING_RATE: rate}


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise EngineUnavailable(f"{folder} has no {' and no '.join(names)}: {published.CURE}")
