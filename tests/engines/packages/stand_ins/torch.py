"""Stands for torch in workers of stand-in packages: tensors are arrays, and its one generator is NumPy's."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np

float32, bfloat16, bool = np.float32, np.float16, np.bool_
cuda = SimpleNamespace(is_available=lambda: False)
backends = SimpleNamespace(quantized=SimpleNamespace(supported_engines=["fbgemm"]))
no_grad = inference_mode = nullcontext
generator = np.random.RandomState()


class Tensor(np.ndarray):
    """The methods that adapters call."""

    def _same(self, *_: object) -> "Tensor":
        return self

    cpu = detach = contiguous = float = to = _same  # type: ignore[assignment]

    def t(self) -> "Tensor":
        return self.T

    def numpy(self) -> np.ndarray:
        return np.asarray(self)

    def isfinite(self) -> "Tensor":
        return np.isfinite(self)

    def softmax(self, axis: int) -> "Tensor":
        return np.exp(self) / np.exp(self).sum(axis, keepdims=True)


def from_numpy(array: np.ndarray) -> Tensor:
    return np.asarray(array).view(Tensor)


def zeros(*shape: int, dtype: type = np.float32) -> Tensor:
    return from_numpy(np.zeros(shape, dtype))


def full(shape: tuple[int, ...], value: int, device: object = None) -> Tensor:
    return from_numpy(np.full(shape, value))


def cat(parts: list[Tensor], dim: int = 0) -> Tensor:
    return from_numpy(np.concatenate(parts, dim))


def set_num_threads(threads: int) -> None:
    """Compute nothing by threads."""


def load(path: object, **_: object) -> dict:
    """Return a file without weights."""
    return {}


def manual_seed(seed: int) -> None:
    generator.seed(seed % 2**32)


def device(name: str) -> SimpleNamespace:
    return SimpleNamespace(type=name)


def stack(parts: list[Tensor], dim: int = 0) -> Tensor:
    return from_numpy(np.stack(parts, dim))


where = np.where
get_rng_state, set_rng_state = generator.get_state, generator.set_state
nn = SimpleNamespace(functional=SimpleNamespace(linear=lambda values, weight: values @ weight))


def patches(text: str, voice: float, length: int, stopped: object) -> object:
    """Yield a patch of noise for each word, as loud as a voice, until an event is set."""
    for _ in text.split():
        if stopped.is_set():
            return
        yield from_numpy((voice * generator.uniform(-1, 1, length)).astype(np.float32))
