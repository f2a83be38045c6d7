"""Finds the folders of the checkpoints that a setting names, fetched from a model hub if they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.runtime.model_names import HUB_NAME, local_path
from kani.runtime.packages.checkpoint import fetched

SETTING = "KANI_KOKORO_MODELS"

_FILES = ("*.json", "*.onnx", "*.pth", "*.pt", "*.bin", "*.npy", "*.npz")


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a checkpoint, and what it is called: by the folder, or by its name on a hub."""

    folder: Path
    name: str


def local_places(models: Mapping[str, str]) -> dict[str, Place]:
    """Return the places of the checkpoints that are folders, by language.

    models: a folder or a hub's ``OWNER/NAME[@REVISION]`` by language. Raises EngineUnavailable for a name
    that is neither.
    """
    found: dict[str, Place] = {}
    for language, name in models.items():
        folder = local_path(name)
        if folder.is_dir():
            found[language] = Place(folder.resolve(), folder.resolve().name)
        elif not HUB_NAME.fullmatch(name):
            raise EngineUnavailable(
                f"{SETTING}: {language}={name} is neither a folder nor a model's name on a hub (OWNER/NAME)"
            )
    return found


def find_places(models: Mapping[str, str], cache_dir: Path, *, may_fetch: bool) -> dict[str, Place]:
    """Return the places of all checkpoints by language, as ``local_places``; those of a hub are fetched once.

    cache_dir: folder of fetched files; may_fetch: whether they may be. Raises EngineUnavailable. Blocks.
    """
    found = local_places(models)
    for language, name in models.items():
        if language not in found:
            folder = fetched(name, _FILES, cache_dir, SETTING, may_fetch=may_fetch)
            found[language] = Place(folder, name.partition("@")[0])
    return {language: found[language] for language in models}
