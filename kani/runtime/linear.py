"""Matrix products of the language model in its three precisions.

Each is built from a float32 weight [outputs, inputs] and multiplies rows [..., inputs]. ``normed`` accepts
float32 rows that are yet to be divided by their root mean square: the norm's own weight is folded into the
matrix, so that one pass over the row does norm and product.
"""

import warnings
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

_TINY = 1e-12
_LEVELS = 127
# Levels of 7 bits per 1 in the kernel, levels given to a row's peak, and parts into which one of that row's
# levels is divided. Rounding leaves half a part at most.
_KERNEL_LEVELS, _COARSE_LEVELS, _FINE_LEVELS = 63.5, 63, 126


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


class Int8:
    """A product of int8 weights, one scale per output, with rows quantised one by one (CPU).

    fbgemm's kernel quantises all rows of a call by one scale, so that a sequence's speech would depend on its
    neighbours. Here each row is first divided by its own peak, and two more inputs of 1 and −1, with weights
    of zero, make the kernel's scale the same for every call. Products are sums of integers: a row's result
    does not depend on the other rows.

    Without VNNI the kernel adds pairs of products in 16 bits, which have room for rows of 7 bits. There a row
    is two rows of one call, its first 7 bits and the next 7 of the remainder: 14 bits together, with weights
    read once. The call takes 1.5 times as long for one row, and nearly twice for many.
    """

    def __init__(self, weight: Tensor) -> None:
        peaks = weight.abs().amax(1).clamp_min(_TINY)
        levels = torch.round(weight * (_LEVELS / peaks)[:, None]).to(torch.int8)
        # Two more zeros: the kernel reads inputs four at a time.
        levels = functional.pad(levels, (0, 4))
        zeros = torch.zeros(len(peaks), dtype=torch.long)
        with warnings.catch_warnings():
            # torch deprecates creating such tensors, but offers no other way to fbgemm's kernel.
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(
                levels, (peaks / _LEVELS).double(), zeros, axis=0
            )
        torch.backends.quantized.engine = "fbgemm"
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self._vnni = torch.cpu._is_vnni_supported()
        self._ends = torch.tensor([[1.0, -1.0, 0.0, 0.0]])

    @staticmethod
    def supported() -> bool:
        """Check if this processor and this build of torch have the kernel."""
        return "fbgemm" in torch.backends.quantized.supported_engines

    def __call__(self, rows: Tensor) -> Tensor:
        peaks = rows.abs().amax(-1, keepdim=True).clamp_min_(_TINY)
        return self._unit_product(rows / peaks).mul_(peaks)

    def normed(self, rows: Tensor, epsilon: float) -> Tensor:
        """See ``Linear``: the norm divides a whole row, so it is applied to the result."""
        peaks = rows.abs().amax(-1, keepdim=True).clamp_min_(_TINY)
        scale = torch.rsqrt(rows.square().mean(-1, keepdim=True) + epsilon)
        return self._unit_product(rows / peaks).mul_(scale.mul_(peaks))

    def _unit_product(self, rows: Tensor) -> Tensor:
        """The product of rows with a peak of 1."""
        if self._vnni:
            return self._kernel(rows)
        scaled = rows * _COARSE_LEVELS
        coarse = scaled.round()
        fine = (scaled - coarse) * _FINE_LEVELS
        # Whole levels of the kernel, so its rounding of the first part is exact.
        first, rest = self._kernel(torch.stack((coarse, fine)).div_(_KERNEL_LEVELS))
        product: Tensor = first.add_(rest, alpha=1 / _FINE_LEVELS).mul_(_KERNEL_LEVELS / _COARSE_LEVELS)
        return product

    def _kernel(self, rows: Tensor) -> Tensor:
        ends = self._ends.expand(*rows.shape[:-1], 4)
        product: Tensor = torch.ops.quantized.linear_dynamic(
            torch.cat((rows, ends), -1), self._packed, not self._vnni
        )
        return product
