"""Loads a checkpoint by Kyutai's package, from one folder. Runs only in the package's environment."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import Resources


def cure(folder: str, setting: str) -> str:
    """Return what to do about a folder that cannot be loaded; setting: that which names it."""
    return f"remove {folder} and fetch it again, or name another folder ({setting})"


def prepare(resources: Resources) -> tuple[str, Any]:
    """Return the device and the precision (a torch.dtype) that the settings name.

    Called before the package is imported. Raises EngineUnavailable and DeviceError.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1"}
    import torch

    from kani.runtime.device import find_device

    if resources.threads is not None:
        torch.set_num_threads(resources.threads)
    device = find_device(resources.device)
    on_cuda = device.type == "cuda"
    if not on_cuda:
        # Read when the package is imported: on the CPU it would want a C++ compiler, for small functions.
        os.environ["NO_TORCH_COMPILE"] = "1"
    precision = resources.precision
    if precision == "auto":
        precision = "bfloat16" if on_cuda else "float32"
    if precision not in ("float32", "bfloat16"):
        raise EngineUnavailable(f"KANI_PRECISION={precision}: Kyutai's models have float32 and bfloat16")
    return str(device), getattr(torch, precision)


def checkpoint(folder: Path) -> Any:
    """Return the package's ``CheckpointInfo`` of a folder. Raises what the package raises."""
    from moshi.models import loaders

    config = json.loads((folder / "config.json").read_text("utf-8"))
    return loaders.CheckpointInfo.from_hf_repo(
        "",
        moshi_weights=folder / config.get("moshi_name", loaders.MOSHI_NAME),
        mimi_weights=folder / config.get("mimi_name", loaders.MIMI_NAME),
        tokenizer=folder / config.get("tokenizer_name", loaders.TEXT_TOKENIZER_NAME),
        config_path=folder / "config.json",
        mimi_config_path=folder / config["mimi_config_name"] if config.get("mimi_config_name") else None,
    )


def check_finite(*models: Any) -> None:
    """Raise ValueError for NaN or infinite weights, which would only be heard."""
    for model in models:
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise ValueError(f"{name} has NaN or infinite values")
