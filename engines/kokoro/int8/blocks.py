"""What the generator is made of: residual blocks, upsamplings, and small convolutions, on rows [T, C].

A layer is given just the rows that those to be made depend on: an ``RowRange`` says which they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.kokoro.int8.convolution import Convolution, Levels
from engines.kokoro.int8.kernels import snake_levels, sum_snake_levels
from engines.kokoro.network.onnx_model import Array, Stop, Stopped


class RowRange(NamedTuple):
    """Rows [first, end) of a layer, counted from the first that the window was given."""

    first: int
    end: int

    def widened(self, by: int, rows: int) -> RowRange:
        """With ``by`` rows more on either side, of the ``rows`` that there are."""
        return RowRange(max(self.first - by, 0), min(self.end + by, rows))

    def select(self, values: Array, have: RowRange) -> Array:
        """These rows, of the rows ``have`` [T, C]."""
        return values[self.first - have.first : self.end - have.first]

    @property
    def rows(self) -> int:
        """How many."""
        return self.end - self.first


class Branch(NamedTuple):
    """What came in, and what the last convolution adds to it: [T, C] both."""

    values: Array
    addend: Array


@dataclass(frozen=True, slots=True, eq=False)
class Norms:
    """What each channel of each norm is multiplied by, and what is added [9216]."""

    scale: Array
    shift: Array


@dataclass(frozen=True, slots=True, eq=False)
class Quantiser:
    """1 / step and zero of each channel [C] of what a convolution takes."""

    per_step: Array
    zero: Array


@dataclass(frozen=True, slots=True, eq=False)
class SnakeConvolution:
    """Norm, snake, convolution. norm: its channels among all norms'; alpha, inverse: the snake's [C]."""

    norm: slice
    alpha: Array
    inverse: Array
    quantiser: Quantiser
    convolution: Convolution
    dilation: int

    @property
    def reach(self) -> int:
        """Rows on either side that a row depends on."""
        return (self.convolution.taps - 1) // 2 * self.dilation

    def apply(self, values: Array, have: RowRange, want: RowRange, norms: Norms) -> Array:
        """Rows ``want``, dealt to phases [d, ·, C], of rows ``have``, dealt to phases [e, ·, C]."""
        levels, left = self._room(have, want)
        snake_levels(values, *self._channels(norms), levels, left, have.rows)
        return self.convolution(levels)

    def apply_to_sum(
        self, branch: Branch, total: Array, have: RowRange, want: RowRange, norms: Norms
    ) -> Array:
        """The same of a branch, whose sum is left in ``total`` [T, C]."""
        levels, left = self._room(have, want)
        sum_snake_levels(*branch, total, *self._channels(norms), levels, left)
        return self.convolution(levels)

    def _room(self, have: RowRange, want: RowRange) -> tuple[Levels, int]:
        """Where the levels of the input go, and how many rows of zeros are before them."""
        rows = -(-(want.rows + 2 * self.reach) // self.dilation)
        levels = np.empty((self.dilation, rows, len(self.alpha)), np.uint8)
        return levels, have.first - want.first + self.reach

    def _channels(self, norms: Norms) -> tuple[Array, Array, Array, Array, Array, Array]:
        scale, shift = norms.scale[self.norm], norms.shift[self.norm]
        return scale, shift, self.alpha, self.inverse, self.quantiser.per_step, self.quantiser.zero


class ResidualBlock:
    """Three times: x + product(product(x)), the first of which is dilated."""

    def __init__(self, pairs: Sequence[tuple[SnakeConvolution, SnakeConvolution]]) -> None:
        self._pairs = pairs
        self.reach = sum(first.reach + second.reach for first, second in pairs)

    def apply(
        self, values: Array, have: RowRange, want: RowRange, rows: int, norms: Norms, stop: Stop
    ) -> Branch:
        """Rows ``want`` of what becomes of rows ``have`` [T, C], of ``rows`` in all. Raises Stopped."""
        (first, second), *others = self._pairs
        out = want.widened(self.reach - first.reach - second.reach, rows)
        between = out.widened(second.reach, rows)
        made = first.apply(values[None], have, between, norms)
        branch = Branch(out.select(values, have), second.apply(made, between, out, norms)[0])
        # What came in is others' too.
        total = np.empty_like(branch.values)
        reach = self.reach - first.reach - second.reach
        for first, second in others:
            if stop.is_set:
                raise Stopped
            have, reach = out, reach - first.reach - second.reach
            out = want.widened(reach, rows)
            between = out.widened(second.reach, rows)
            made = first.apply_to_sum(branch, total, have, between, norms)
            more = second.apply(made, between, out, norms)[0]
            total = out.select(total, have)
            branch = Branch(total, more)
        return branch


@dataclass(frozen=True, slots=True, eq=False)
class Upsampling:
    """A transposed convolution, 2 · stride taps, as one of two taps that makes ``stride`` rows at once."""

    quantiser: Quantiser
    convolution: Convolution
    stride: int

    @property
    def padding(self) -> int:
        """Rows that are cut off at either end of what is made."""
        return self.stride // 2

    def input_range(self, want: RowRange, rows: int) -> RowRange:
        """The rows, of ``rows`` that there are, on which rows ``want`` depend."""
        first, last = (row // self.stride for row in self._made(want))
        return RowRange(max(first - 1, 0), min(last + 1, rows))

    def allocate_levels(self, have: RowRange, want: RowRange) -> tuple[Levels, int]:
        """Where the levels of the input go [1, ·, C], and how many rows of zeros are before them."""
        first, last = (row // self.stride for row in self._made(want))
        levels = np.empty((1, last - first + 2, len(self.quantiser.zero)), np.uint8)
        return levels, have.first - first + 1

    def apply(self, levels: Levels, want: RowRange) -> Array:
        """Rows ``want`` [T, C]."""
        first, _ = self._made(want)
        made = self.convolution(levels)
        rows = made.reshape(made.shape[1] * self.stride, -1)
        skipped = first % self.stride
        return rows[skipped : skipped + want.rows]

    def _made(self, want: RowRange) -> tuple[int, int]:
        return want.first + self.padding, want.end - 1 + self.padding


@dataclass(frozen=True, slots=True, eq=False)
class FloatConvolution:
    """A small one, in float32: weight [outputs, inputs, 1, taps]."""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int

    def apply(self, rows: Array) -> Array:
        """[T, inputs] → [T / stride, outputs]."""
        given = torch.from_numpy(rows)[None, None].permute(0, 3, 1, 2)
        made = functional.conv2d(
            given, self.weight, self.bias, stride=(1, self.stride), padding=(0, self.padding)
        )
        values: Array = made.permute(0, 2, 3, 1)[0, 0].contiguous().numpy()
        return values
