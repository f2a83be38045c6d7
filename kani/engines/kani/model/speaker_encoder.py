"""Speaker embeddings for KaniTTS-2: 128 numbers of a recording, by a WavLM with a small head.

The same network as the makers' ``EmbeddingsModel`` (the tests' reference; PyPI kani-tts-2 0.0.5,
``speaker_embedder.py``, after Orange's Speaker-wavLM-tbr): the waveform to mean 0 and deviation 1, WavLM,
mean and deviation of its last rows over time, two layers with batch norms after their ReLUs, length 1.

Only JSON and safetensors files are read.
"""

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

from kani.engines.kani.model.checkpoint import check_shapes
from kani.runtime.errors import CheckpointError
from kani.runtime.packages.checkpoint import read_json

SAMPLE_RATE = 16_000
MAX_RECORDING_S = 30.0
"""Seconds that are embedded, as in the makers' code: the time it takes grows with them."""
_MIN_SAMPLES = SAMPLE_RATE // 10
_MAX_SIZE = 2**16
_MAX_LAYERS = 64
_NORM_EPSILON = 1e-3
_TINY = 1e-10

Samples = npt.NDArray[np.float32]


class EmbeddingCancelled(Exception):
    """The caller cancelled the embedding."""


class SpeakerEmbedder:
    """A WavLM and its head, on the CPU: a GPU's memory is for speech, and a voice is embedded only once.

    Deterministic: the same samples give the same numbers.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Open the folder of a checkpoint of that name; weights stay in the file until they are read.

        Raises CheckpointError.
        """
        settings = read_json(folder / "config.json")
        self.size = _positive_int(settings, "embd_size", _MAX_SIZE)  # numbers of an embedding
        self._network = _network(settings, self.size)
        weights = _weights(folder)
        check_shapes(_shapes(self._network.state_dict()), _shapes(weights))
        self._network.load_state_dict(weights, assign=True)
        self._network.requires_grad_(False).eval()
        self.name = f"{name} {_fingerprint(weights)}"
        """Identifies the weights: a model trained with one embedder cannot use another's embeddings."""

    @torch.inference_mode()
    def embed(self, samples: Samples, cancelled: Callable[[], bool] = lambda: False) -> Samples:
        """The embedding [size], of length 1, of mono samples at ``SAMPLE_RATE``, the first
        ``MAX_RECORDING_S``.

        cancelled: called before each layer. Takes about a second of one core per second of sound. Raises
        ValueError for samples that are too few, constant or not finite, and EmbeddingCancelled.
        """
        samples = samples[: round(MAX_RECORDING_S * SAMPLE_RATE)]
        if len(samples) < _MIN_SAMPLES:
            raise ValueError(f"{len(samples)} samples: at least {_MIN_SAMPLES}")
        wave = torch.from_numpy(np.ascontiguousarray(samples, np.float32))
        deviation = wave.std()
        if not torch.isfinite(deviation) or deviation <= 0:
            raise ValueError("samples that are all the same, or not finite")

        def check_cancelled(*_: object) -> None:
            if cancelled():
                raise EmbeddingCancelled

        hooks = [layer.register_forward_pre_hook(check_cancelled) for layer in self._network.layers()]
        try:
            embedding: Samples = self._network((wave - wave.mean()) / (deviation + _TINY)).numpy()
        finally:
            for hook in hooks:
                hook.remove()
        return embedding


class _Head(nn.Module):
    """Maps mean and deviation of WavLM's rows to an embedding; attribute names are the checkpoint's."""

    def __init__(self, inputs: int, inner: int, outputs: int) -> None:
        super().__init__()
        self.affine1 = nn.Conv1d(inputs, inner, 1)
        self.batchnorm1 = nn.BatchNorm1d(inner, affine=False, eps=_NORM_EPSILON)
        self.affine2 = nn.Conv1d(inner, outputs, 1)
        self.batchnorm2 = nn.BatchNorm1d(outputs, affine=False, eps=_NORM_EPSILON)

    def forward(self, statistics: Tensor) -> Tensor:
        inner = self.batchnorm1(self.affine1(statistics[None, :, None]).relu())
        return functional.normalize(self.batchnorm2(self.affine2(inner).relu())[0, :, 0], dim=0)


class _Network(nn.Module):
    def __init__(self, config: WavLMConfig, inner: int, outputs: int) -> None:
        super().__init__()
        self.wavlm = WavLMModel(config)
        self.top_layers = _Head(2 * config.hidden_size, inner, outputs)

    def layers(self) -> list[nn.Module]:
        """Everything that takes long, in its order."""
        return [*self.wavlm.feature_extractor.conv_layers, *self.wavlm.encoder.layers]

    def forward(self, wave: Tensor) -> Tensor:
        rows = self.wavlm(wave[None]).last_hidden_state[0]
        deviation = rows.var(0).clamp_min(_TINY).sqrt()
        embedding: Tensor = self.top_layers(torch.cat((rows.mean(0), deviation)))
        return embedding


def _network(settings: Mapping[str, Any], size: int) -> _Network:
    """Build the network of an untrusted config, without its weights."""
    if settings.get("model_type") != "wavlm":
        raise CheckpointError(f"model_type is {settings.get('model_type')!r}, not 'wavlm'")
    if settings.get("add_adapter"):
        raise CheckpointError("add_adapter is true: a WavLM with an adapter is not supported")
    _positive_int(settings, "num_hidden_layers", _MAX_LAYERS)
    for key, value in settings.items():
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > _MAX_LAYERS or any(type(n) is int and not 0 <= n <= _MAX_SIZE for n in numbers):
            raise CheckpointError(f"{key} is out of range for a WavLM")
    inner = _positive_int(settings, "top_interm_size", _MAX_SIZE)
    try:
        # Sizes only: memory is allocated for the weights' file, if it has those sizes.
        with torch.device("meta"):
            return _Network(WavLMConfig.from_dict(dict(settings)), inner, size)
    except (StrictDataclassError, TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        raise CheckpointError(f"the config's entries do not fit together: {error}") from error


def _positive_int(settings: Mapping[str, Any], key: str, most: int) -> int:
    value = settings.get(key)
    if type(value) is not int or not 0 < value <= most:
        raise CheckpointError(f"{key} is {value!r}: it has to be a whole number from 1 to {most}")
    return value


def _weights(folder: Path) -> dict[str, Tensor]:
    """Read the tensors; older names of the positional weight norm are converted."""
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


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def _fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Hash of the head, which is trained last: all of a gigabyte would take seconds."""
    digest = hashlib.sha256()
    for key in sorted(key for key in weights if key.startswith("top_layers.")):
        digest.update(weights[key].numpy().tobytes())
    return digest.hexdigest()[:12]
