"""Finds the GGUF file that the settings name, fetched if it may be."""

from __future__ import annotations

import os
from math import ceil
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import Resources
from kani.engines.transcribe.settings import MODEL, TranscribeSettings
from kani.runtime.model_names import HUB_NAME, local_path
from kani.runtime.packages.checkpoint import check_file, fetched

_PATTERN = "*[qQ]8_0.gguf"
_CURE = f"remove it and fetch it again by --fetch --recognizer transcribe, or name a file ({MODEL})"
_CORE_BYTES = 250e6
"""Weights that a core takes a part of: a live pass over more is too slow with one core."""

_MAX_COPIES = 16


def check_name(model: str | None) -> str:
    """Return the name of a model that can be one. Raises EngineUnavailable."""
    if model is None:
        example = "handy-computer/canary-180m-flash-gguf"
        raise EngineUnavailable(f"transcribe needs {MODEL}: a GGUF file, or a hub's name such as {example}")
    if not local_path(model).is_file() and not HUB_NAME.fullmatch(model):
        raise EngineUnavailable(
            f"{MODEL}: {model!r} is neither a file nor a model's name on a hub (OWNER/NAME)"
        )
    return model


def find(settings: TranscribeSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings, after size and licence of what is fetched are told; blocks.

    Raises EngineUnavailable with the cure.
    """
    name, cache = check_name(settings.model), resources.cache_dir
    path = local_path(name)
    if not path.is_file():
        may_fetch = resources.may_fetch
        folder = fetched(name, (_PATTERN,), cache, engine="transcribe", setting=MODEL, may_fetch=may_fetch)
        found = [*folder.glob(_PATTERN)]
        if len(found) != 1:
            raise EngineUnavailable(
                f"{name} has {len(found)} files in Q8_0, and not one: name a file ({MODEL})"
            )
        path = found[0]
        check_file(path, _CURE)
    cpus = os.cpu_count() or 1
    cores = min(resources.threads or ceil(path.stat().st_size / _CORE_BYTES), cpus)
    return {"file": str(path.absolute()), "cores": cores, "copies": min(cpus // cores, _MAX_COPIES)}
