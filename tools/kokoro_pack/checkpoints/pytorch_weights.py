"""The weights of a PyTorch checkpoint by their names in Kokoro's modules.

The published form is a dictionary of five modules, each a dictionary of tensors (``kokoro-v1_0.pth`` of
hexgrad/Kokoro-82M); training (StyleTTS 2) writes them below ``net``, with others beside them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.checkpoints.tensor_file import NoTensors, read_tensors

MODULES = ("bert", "bert_encoder", "predictor", "decoder", "text_encoder")

_PARALLEL = "module."
"""Prefix of names that were saved from several devices."""

NORMED = (
    (".weight_g", ".weight_v"),
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
)
"""Ends of the names of a convolution's weight, which is stored as lengths and directions."""


def read_weights(content: bytes) -> dict[str, Array]:
    """Return the weights of a file, such as ``decoder.encode.conv1.weight``, as float32.

    Raises NoTensors for a file of another kind.
    """
    state = read_tensors(content)
    if isinstance(state, Mapping) and isinstance(state.get("net"), Mapping):
        state = state["net"]
    if not isinstance(state, Mapping) or not all(isinstance(state.get(name), Mapping) for name in MODULES):
        raise NoTensors(f"it is no checkpoint of Kokoro, which has {', '.join(MODULES)}")
    return joined_norms(
        {
            f"{module}.{name.removeprefix(_PARALLEL)}": np.asarray(tensor, np.float32)
            for module in MODULES
            for name, tensor in state[module].items()
            if isinstance(name, str) and isinstance(tensor, np.ndarray)
        }
    )


def joined_norms(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """Return tensors with the weights in one piece that are stored in two. Raises NoTensors."""
    found: dict[str, Array] = {}
    for name, tensor in tensors.items():
        pair = next((pair for pair in NORMED if name.endswith(pair)), None)
        if pair is None:
            found[name] = tensor
            continue
        lengths, directions = pair
        if name.endswith(directions):
            continue
        base = name.removesuffix(lengths)
        if base + directions not in tensors:
            raise NoTensors(f"{name} has no {directions[1:]} beside it")
        found[base + ".weight"] = _scaled(tensor, tensors[base + directions])
    return found


def _scaled(lengths: Array, directions: Array) -> Array:
    """Return lengths · directions / ‖directions‖, the norms over all axes but the first."""
    axes = tuple(range(1, directions.ndim))
    norms = np.sqrt(np.square(directions, dtype=np.float64).sum(axis=axes, keepdims=True))
    norms = np.maximum(norms, np.finfo(np.float32).tiny)  # a channel may be silent
    return np.asarray(directions * (lengths / norms), np.float32)
