"""Matrix products of the language model.

Each is built from a float32 weight [outputs, inputs] and multiplies rows [..., inputs]. ``normed`` accepts
float32 rows that are yet to be divided by their root mean square: the norm's own weight is folded into the
matrix, so that one pass over the row does norm and product.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Linear(Protocol):
    """A matrix product of the model."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply rows: [..., inputs] → [..., outputs]."""

    def normed(self, rows: Tensor, epsilon: float) -> Tensor:
        """Multiply rows / sqrt(mean(rows²) + epsilon)."""


class Dense:
    """A product in the weight's own precision, float32 or bfloat16, on any device."""

    def __init__(self, weight: Tensor, precision: torch.dtype, device: torch.device) -> None:
        self._weight = weight.to(device=device, dtype=precision)

    def __call__(self, rows: Tensor) -> Tensor:
        return functional.linear(rows.to(self._weight.dtype), self._weight)

    def normed(self, rows: Tensor, epsilon: float) -> Tensor:
        return self(rows * torch.rsqrt(rows.square().mean(-1, keepdim=True) + epsilon))
