"""Finds the device of a model, and copies tensors to and from it without waiting for it."""

import torch
from torch import Tensor

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


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device; nothing waits for a GPU. On the CPU it is the tensor itself."""
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def host_copy(tensor: Tensor) -> Tensor:
    """Copy a tensor to the CPU; nothing waits for a GPU.

    A GPU's copy is complete for work that is queued on the same stream later (``copy_`` back to the GPU), and
    for the CPU once that stream was synchronised.
    """
    if tensor.device.type != "cuda":
        return tensor.clone()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
