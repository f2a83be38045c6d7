"""Finds the device of a model."""

from __future__ import annotations

import torch

from kani.runtime.errors import DeviceError


def find_device(name: str) -> torch.device:
    """Return a device by its name; ``auto`` is CUDA if available. Raises DeviceError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is not a device: use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"the model runs on cpu and cuda, not on {name}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"torch {torch.__version__} finds no CUDA device: use --device cpu, "
            "or install a build of torch with CUDA"
        )
    return device
