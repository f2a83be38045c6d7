"""Int8 products with weights in int8.cpp's layout; see kani/runtime/linear.py for ``Linear``."""

import mmap
from contextlib import suppress
from ctypes import byref

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.kani.model.native.library import Library, Matrix

_TINY = 1e-12
_LEVELS = 127
STRETCH = 256
"""Inputs of a row that share a scale, as in product.h."""
_LARGE_PAGE = 2**21
_MAX_INPUTS = 65_536  # 255 * 127 times that still fits into 32 bits


class NativeInt8:
    """A product of int8 weights, one scale per output, with rows quantised one by one.

    A row's levels are round(x * 127 / peak), with a peak per 256 inputs. Their sums are exact: a row's result
    depends neither on the other rows nor on the number of threads.
    """

    def __init__(self, weight: Tensor, library: Library, groups: int = 1) -> None:
        """Raises ValueError for sizes that do not fit.

        weight: float32 [outputs, inputs]; groups: 1, or the number, 2 or 3, of equal parts of the outputs of
        which ``NativeLanguageModel`` reads a piece each at a time.
        """
        outputs, inputs = weight.shape
        if outputs % groups or not 0 < inputs <= _MAX_INPUTS:
            raise ValueError(f"no product of {outputs} outputs in {groups} groups and {inputs} inputs")
        self._library = library
        vectors = 2 if groups == 1 else groups
        lanes = library.lanes
        peaks = weight.abs().amax(1).clamp_min(_TINY)
        levels = torch.round(weight * (_LEVELS / peaks)[:, None]).add_(128).to(torch.uint8)
        levels = functional.pad(_panels(levels, groups, vectors, lanes), (0, -inputs % 4))
        fours = levels.reshape(len(levels), vectors, lanes, -1, 4)
        self._levels = _in_large_pages(fours.permute(0, 3, 1, 2, 4))
        self._scales = _panels((peaks / _LEVELS)[:, None], groups, vectors, lanes).contiguous()
        self.matrix = Matrix(
            self._levels.data_ptr(), self._scales.data_ptr(), inputs, outputs, groups, vectors, len(levels)
        )

    def __call__(self, rows: Tensor) -> Tensor:
        return self._product(rows, normed=False, epsilon=0.0)

    def normed(self, rows: Tensor, epsilon: float) -> Tensor:
        return self._product(rows, normed=True, epsilon=epsilon)

    def _product(self, rows: Tensor, *, normed: bool, epsilon: float) -> Tensor:
        if rows.shape[-1] != self.matrix.inputs:
            raise ValueError(f"rows have {rows.shape[-1]} inputs, the product {self.matrix.inputs}")
        rows = rows.to(torch.float32).contiguous()
        out = rows.new_empty((*rows.shape[:-1], self.matrix.outputs))
        count = out.numel() // self.matrix.outputs
        levels = torch.empty(count * row_bytes(self.matrix.inputs), dtype=torch.int8)
        parts = count * stretches(self.matrix.inputs)
        offsets, scales = torch.empty(parts, dtype=torch.int32), torch.empty(parts)
        threads = self._library.threads(torch.get_num_threads())
        self._library.product(
            byref(self.matrix),
            rows.data_ptr(),
            count,
            normed,
            epsilon,
            out.data_ptr(),
            levels.data_ptr(),
            offsets.data_ptr(),
            scales.data_ptr(),
            byref(threads),
        )
        return out


def stretches(inputs: int) -> int:
    """Number of scales of a row: one for each ``STRETCH`` of its inputs."""
    return -(-inputs // STRETCH)


def row_bytes(inputs: int) -> int:
    """Bytes of a quantised row: whole cache lines."""
    return (inputs + 63) // 64 * 64


def _in_large_pages(values: Tensor) -> Tensor:
    """Copy into pages of 2 MiB, where the system has them: a step is 5 to 8 % faster than with small ones."""
    memory = mmap.mmap(-1, values.numel() + _LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = torch.frombuffer(memory, dtype=torch.uint8)
    start = -buffer.data_ptr() % _LARGE_PAGE
    return buffer[start : start + values.numel()].view(values.shape).copy_(values)


def _panels(rows: Tensor, groups: int, vectors: int, lanes: int) -> Tensor:
    """Reorder [outputs, inputs] to [panels, vectors, lanes, inputs], zero where there is no output."""
    parts = rows.reshape(groups, len(rows) // groups, -1)
    step = lanes * vectors // groups
    parts = functional.pad(parts, (0, 0, 0, -parts.shape[1] % step))
    # One group's panels are two vectors of its own; several groups' are a vector of each.
    apart = parts.reshape(groups, -1, vectors // groups, lanes, parts.shape[-1]).transpose(0, 1)
    return apart.flatten(1, 2)
