"""Whom a recording sounds like, as KaniTTS-2 takes it: 128 numbers, by a WavLM with a small head.

The same network as the makers' ``EmbeddingsModel`` (the judge in the tests; PyPI kani-tts-2 0.0.5,
``speaker_embedder.py``, after Orange's Speaker-wavLM-tbr): the waveform to mean 0 and deviation 1, WavLM,
mean and deviation of its last rows over time, two layers with batch norms behind their ReLUs, length 1.

Only JSON and safetensors files are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import WavLMConfig, WavLMModel

from kani.checkpoint import read_json
from kani.errors import CheckpointError

SAMPLE_RATE = 16_000
MAX_RECORDING_S = 30.0
"""Seconds that are listened to, as the makers' code does: the time that it takes grows with them."""
_LEAST_SAMPLES = SAMPLE_RATE // 10
_LARGEST = 2**16
_MOST_LAYERS = 64
_NORM_EPSILON = 1e-3
_TINY = 1e-10

Samples = npt.NDArray[np.float32]


class EmbeddingCancelled(Exception):
    """Nobody wants the embedding any more."""


class SpeakerEmbedder:
    """A WavLM and its head, on the CPU: a GPU's memory is the speech's, and a voice is made only once.

    Deterministic: the same samples give the same numbers.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Open the folder of a checkpoint of that name; weights stay in the file until they are read.

        Raises CheckpointError.
        """
        settings = read_json(folder / "config.json")
        self.size = _whole(settings, "embd_size", _LARGEST)
        """Numbers of an embedding."""
        self._network = _network(settings, self.size)
        weights = _weights(folder)
        _compare(self._network.state_dict(), weights)
        self._network.load_state_dict(weights, assign=True)
        self._network.requires_grad_(False).eval()
        self.name = f"{name} {_fingerprint(weights)}"
        """Tells it from every other: a model that was trained with one can't read what another makes."""

    @torch.inference_mode()
    def embed(self, samples: Samples, cancelled: Callable[[], bool] = lambda: False) -> Samples:
        """The embedding [size], of length 1, of mono samples at ``SAMPLE_RATE``, the first ``LONGEST_S``.

        stopped: asked before each layer. Takes about a second of one core for a second of sound. Raises
        ValueError for samples that are too few, all the same or not finite, and Stopped.
        """
        samples = samples[: round(MAX_RECORDING_S * SAMPLE_RATE)]
        if len(samples) < _LEAST_SAMPLES:
            raise ValueError(f"{len(samples)} samples: at least {_LEAST_SAMPLES}")
        wave = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
        deviation = wave.std()
        if not torch.isfinite(deviation) or deviation <= 0:
            raise ValueError("samples that are all the same, or not finite")

        def ask(*_: object) -> None:
            if cancelled():
                raise EmbeddingCancelled

        hooks = [layer.register_forward_pre_hook(ask) for layer in self._network.layers()]
        try:
            embedding: Samples = self._network((wave - wave.mean()) / (deviation + _TINY)).numpy()
        finally:
            for hook in hooks:
                hook.remove()
        return embedding


class _Head(nn.Module):
    """Mean and deviation of WavLM's rows to an embedding; names are those of the checkpoint."""

    def __init__(self, inputs: int, between: int, outputs: int) -> None:
        super().__init__()
        self.affine1 = nn.Conv1d(inputs, between, 1)
        self.batchnorm1 = nn.BatchNorm1d(between, affine=False, eps=_NORM_EPSILON)
        self.affine2 = nn.Conv1d(between, outputs, 1)
        self.batchnorm2 = nn.BatchNorm1d(outputs, affine=False, eps=_NORM_EPSILON)

    def forward(self, statistics: Tensor) -> Tensor:
        between = self.batchnorm1(self.affine1(statistics[None, :, None]).relu())
        return functional.normalize(self.batchnorm2(self.affine2(between).relu())[0, :, 0], dim=0)


class _Network(nn.Module):
    def __init__(self, config: WavLMConfig, between: int, outputs: int) -> None:
        super().__init__()
        self.wavlm = WavLMModel(config)
        self.top_layers = _Head(2 * config.hidden_size, between, outputs)

    def layers(self) -> list[nn.Module]:
        """All that takes long, in its order."""
        return [*self.wavlm.feature_extractor.conv_layers, *self.wavlm.encoder.layers]

    def forward(self, wave: Tensor) -> Tensor:
        rows = self.wavlm(wave[None]).last_hidden_state[0]
        deviation = rows.var(0).clamp_min(_TINY).sqrt()
        embedding: Tensor = self.top_layers(torch.cat((rows.mean(0), deviation)))
        return embedding


def _network(settings: Mapping[str, Any], size: int) -> _Network:
    """The network of a stranger's config, without its weights."""
    if settings.get("model_type") != "wavlm":
        raise CheckpointError(f"model_type is {settings.get('model_type')!r}, not 'wavlm'")
    if settings.get("add_adapter"):
        raise CheckpointError("add_adapter is true: a WavLM with an adapter is not known here")
    _whole(settings, "num_hidden_layers", _MOST_LAYERS)
    for key, value in settings.items():
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > _MOST_LAYERS or any(type(n) is int and not 0 <= n <= _LARGEST for n in numbers):
            raise CheckpointError(f"{key} is beyond what a WavLM may have")
    between = _whole(settings, "top_interm_size", _LARGEST)
    try:
        # Sizes only: memory is what the weights' file has, if it has those sizes.
        with torch.device("meta"):
            return _Network(WavLMConfig.from_dict(dict(settings)), between, size)
    except (StrictDataclassError, TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise CheckpointError(f"the config's entries do not fit together: {error}") from error


def _whole(settings: Mapping[str, Any], key: str, most: int) -> int:
    value = settings.get(key)
    if type(value) is not int or not 0 < value <= most:
        raise CheckpointError(f"{key} is {value!r}: it has to be a whole number from 1 to {most}")
    return value


def _weights(folder: Path) -> dict[str, Tensor]:
    """The tensors by today's names; older ones of the positions' weight norm are renamed."""
    path = folder / "model.safetensors"
    if not path.is_file():
        raise CheckpointError(f"{folder.name} has no model.safetensors")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a safetensors file: {error}") from error
    renamed = {"conv.weight_g": "conv.parametrizations.weight.original0"}
    renamed["conv.weight_v"] = "conv.parametrizations.weight.original1"
    weights = {}
    for key, tensor in tensors.items():
        for old, new in renamed.items():
            key = key.replace(old, new)
        weights[key] = tensor.float() if tensor.is_floating_point() else tensor
    return weights


def _compare(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    for key, tensor in expected.items():
        if key not in found:
            raise CheckpointError(f"{key} is missing; its shape has to be {list(tensor.shape)}")
        if found[key].shape != tensor.shape:
            raise CheckpointError(
                f"{key} has the shape {list(found[key].shape)}; it has to be {list(tensor.shape)}"
            )
    if more := sorted(found.keys() - expected.keys()):
        raise CheckpointError(f"{more[0]} {list(found[more[0]].shape)} is no part of this model")


def _fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Of the head, which is trained last: all of a gigabyte would take seconds."""
    digest = hashlib.sha256()
    for key in sorted(key for key in weights if key.startswith("top_layers.")):
        digest.update(weights[key].numpy().tobytes())
    return digest.hexdigest()[:12]
