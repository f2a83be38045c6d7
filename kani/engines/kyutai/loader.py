"""Finds, loads and warms up Kyutai's recogniser."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kani.engines.kyutai import checkpoint
from kani.engines.kyutai.delays import Delays
from kani.engines.kyutai.network import Network
from kani.engines.kyutai.step import Frame, Stream
from kani.engines.plugin import Resources
from kani.runtime.device import find_device
from kani.runtime.errors import CheckpointError, DeviceError
from kani.runtime.hub import Hub
from kani.runtime.linear import Int8

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedRecognizer:
    """A network that is ready, and what its tokens mean."""

    network: Network
    delays: Delays
    padding: int
    """Token between words."""
    decode: Callable[[Sequence[int]], str]
    """Returns the text of tokens."""


def load(model: str, slots: int | None, resources: Resources) -> LoadedRecognizer:
    """Load ``model``, a folder or a hub's name. slots: streams at once, None for the default.

    Raises CheckpointError and DeviceError, each with the cure.
    """
    device = find_device(resources.device)
    precision = _precision(resources.precision, device)
    slots = slots or (64 if device.type == "cuda" else 4)
    folder = Hub(resources.cache_dir, resources.may_fetch, log.info).find(model)
    loaded = checkpoint.load(folder, device=device, precision=precision)
    try:
        network = Network(loaded.model, loaded.pause_heads, slots=slots, first_token=loaded.first_token)
        # The first steps prepare the kernels, and show that the memory suffices.
        stream = Stream(0)
        for _ in range(2):
            network.step([Frame(stream, np.zeros(network.frame_samples, np.float32))])
    except RuntimeError as error:
        raise CheckpointError(
            f"{folder.name} cannot run with {slots} streams: set KANI_RECOGNIZER_SLOTS lower where the "
            f"memory is short ({error})"
        ) from error
    log.info(
        "recogniser: %d streams of %.0f MiB on %s, %s",
        slots,
        network.bytes_per_stream / 2**20,
        device,
        str(precision).removeprefix("torch."),
    )
    tokenizer = loaded.tokenizer

    def decode(tokens: Sequence[int]) -> str:
        return str(tokenizer.decode(list(tokens), skip_special_tokens=True))

    return LoadedRecognizer(network, loaded.delays, loaded.padding, decode)


def _precision(name: str, device: torch.device) -> torch.dtype:
    """Return the precision of the language model."""
    if name in ("float32", "bfloat16"):
        return torch.float32 if name == "float32" else torch.bfloat16
    if device.type == "cuda":
        # int8 is a setting of the Kani model, too, and only for the CPU.
        return torch.bfloat16
    if Int8.supported():
        return torch.int8
    if name == "int8":
        raise DeviceError("this build of torch has no int8 kernels (fbgemm): use float32 or bfloat16")
    return torch.float32
