"""Loads a checkpoint by Kyutai's package, from one folder. Runs only in the package's environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import Resources


def begin(files: Mapping[str, str], resources: Resources) -> tuple[Any, str, Any]:
    """Return the package's ``CheckpointInfo`` of files, the device, and the precision (a torch.dtype).

    Called before the package is imported. Raises EngineUnavailable, DeviceError, and what the package raises.
    """
    import torch

    from kani.runtime.device import find_device

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
    from moshi.models import loaders

    paths = {argument: Path(path) for argument, path in files.items()}
    return loaders.CheckpointInfo.from_hf_repo("", **paths), str(device), getattr(torch, precision)
