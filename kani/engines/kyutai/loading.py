"""Loads a checkpoint by Kyutai's package, from one folder. Runs only in the package's environment."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import Resources


def prepare(resources: Resources) -> tuple[str, Any]:
    """Return the device and the precision (a torch.dtype) that the settings name.

    Called before the package is imported. Raises EngineUnavailable.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1"}
    import torch

    from kani.runtime.device import find_device
    from kani.runtime.errors import DeviceError

    if resources.threads is not None:
        torch.set_num_threads(resources.threads)
    try:
        device = find_device(resources.device)
    except DeviceError as error:
        raise EngineUnavailable(f"Kyutai's model cannot start: {error}") from error
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


@contextmanager
def checkpoint(folder: Path, device: str, setting: str) -> Generator[Any, None, None]:
    """Give the package's ``CheckpointInfo`` of a folder; what fails while it is loaded names the cure.

    setting: that which names the folder. Raises EngineUnavailable.
    """
    from moshi.models import loaders
    from safetensors import SafetensorError

    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        yield loaders.CheckpointInfo.from_hf_repo(
            "",
            moshi_weights=folder / config.get("moshi_name", loaders.MOSHI_NAME),
            mimi_weights=folder / config.get("mimi_name", loaders.MIMI_NAME),
            tokenizer=folder / config.get("tokenizer_name", loaders.TEXT_TOKENIZER_NAME),
            config_path=folder / "config.json",
            mimi_config_path=folder / config["mimi_config_name"] if config.get("mimi_config_name") else None,
        )
    except (
        *(OSError, RuntimeError, ValueError, KeyError, TypeError, AssertionError, AttributeError),
        *(IndexError, ZeroDivisionError, SafetensorError),
    ) as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise EngineUnavailable(
            f"Kyutai's package cannot load {folder} on {device}: {reason}: remove it and fetch it again, or "
            f"name another folder ({setting})"
        ) from error


def check_finite(*models: Any) -> None:
    """Raise ValueError for NaN or infinite weights, which would only be heard."""
    for model in models:
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise ValueError(f"{name} has NaN or infinite values")
