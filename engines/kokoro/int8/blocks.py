"""Building blocks of the generator: residual blocks, upsamplings and small convolutions, on rows [T, C].

A layer computes only the rows that the wanted samples depend on; a ``RowRange`` names them.
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
    """Rows [first, end) of a layer, counted from the first row of the window."""

    first: int
    end: int

    def widened(self, by: int, rows: int) -> RowRange:
        """Add ``by`` rows on either side, clipped to the ``rows`` of the layer."""
        return RowRange(max(self.first - by, 0), min(self.end + by, rows))

    def select(self, values: Array, have: RowRange) -> Array:
        """Select these rows from ``values`` [T, C], which are the rows ``have``."""
        return values[self.first - have.first : self.end - have.first]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.end - self.first


class Branch(NamedTuple):
    """A residual sum that is not added up yet: the input and the last convolution's output, both [T, C]."""

    values: Array
    addend: Array


@dataclass(frozen=True, slots=True, eq=False)
class Norms:
    """Affine maps of all norms' channels [9216]."""

    scale: Array
    shift: Array


@dataclass(frozen=True, slots=True, eq=False)
class Quantiser:
    """Quantisation of a convolution's input: 1 / step and zero point of each channel [C]."""

    per_step: Array
    zero: Array


@dataclass(frozen=True, slots=True, eq=False)
class SnakeConvolution:
    """Norm, snake activation and int8 convolution."""

    norm: slice  # the norm's channels among those of all norms
    alpha: Array  # of the snake [C]
    inverse: Array  # 1 / alpha [C]
    quantiser: Quantiser
    convolution: Convolution
    dilation: int

    @property
    def reach(self) -> int:
        """Rows on either side that an output row depends on."""
        return (self.convolution.taps - 1) // 2 * self.dilation

    def apply(self, values: Array, have: RowRange, want: RowRange, norms: Norms) -> Array:
        """Compute rows ``want`` in phases [d, ·, C] from rows ``have`` in phases [e, ·, C]."""
        levels, left = self._room(have, want)
        snake_levels(values, *self._channels(norms), levels, left, have.rows)
        return self.convolution(levels)

    def apply_to_sum(
        self, branch: Branch, total: Array, have: RowRange, want: RowRange, norms: Norms
    ) -> Array:
        """Like ``apply`` for the sum of a branch, which is written to ``total`` [T, C]."""
        levels, left = self._room(have, want)
        sum_snake_levels(*branch, total, *self._channels(norms), levels, left)
        return self.convolution(levels)

    def _room(self, have: RowRange, want: RowRange) -> tuple[Levels, int]:
        """Allocate the input's levels; returns them and the number of zero rows at their start."""
        rows = -(-(want.rows + 2 * self.reach) // self.dilation)
        levels = np.empty((self.dilation, rows, len(self.alpha)), np.uint8)
        return levels, have.first - want.first + self.reach

    def _channels(self, norms: Norms) -> tuple[Array, Array, Array, Array, Array, Array]:
        scale, shift = norms.scale[self.norm], norms.shift[self.norm]
        return scale, shift, self.alpha, self.inverse, self.quantiser.per_step, self.quantiser.zero


class ResidualBlock:
    """Three times x + second(first(x)); the first convolution of each pair is dilated."""

    def __init__(self, pairs: Sequence[tuple[SnakeConvolution, SnakeConvolution]]) -> None:
        self._pairs = pairs
        self.reach = sum(first.reach + second.reach for first, second in pairs)

    def apply(
        self, values: Array, have: RowRange, want: RowRange, rows: int, norms: Norms, stop: Stop
    ) -> Branch:
        """Compute rows ``want`` from rows ``have`` [T, C] of ``rows`` in all. Raises Stopped."""
        (first, second), *others = self._pairs
        out = want.widened(self.reach - first.reach - second.reach, rows)
        between = out.widened(second.reach, rows)
        made = first.apply(values[None], have, between, norms)
        branch = Branch(out.select(values, have), second.apply(made, between, out, norms)[0])
        # The input is shared with other blocks and must not be written to.
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
    """A transposed convolution of 2 · stride taps, as one of two taps that outputs ``stride`` rows a step."""

    quantiser: Quantiser
    convolution: Convolution
    stride: int

    @property
    def padding(self) -> int:
        """Output rows cut off at either end."""
        return self.stride // 2

    def input_range(self, want: RowRange, rows: int) -> RowRange:
        """Input rows, of ``rows`` in all, on which output rows ``want`` depend."""
        first, last = (row // self.stride for row in self._made(want))
        return RowRange(max(first - 1, 0), min(last + 1, rows))

    def allocate_levels(self, have: RowRange, want: RowRange) -> tuple[Levels, int]:
        """Allocate the input's levels [1, ·, C]; returns them and the number of zero rows at their start."""
        first, last = (row // self.stride for row in self._made(want))
        levels = np.empty((1, last - first + 2, len(self.quantiser.zero)), np.uint8)
        return levels, have.first - first + 1

    def apply(self, levels: Levels, want: RowRange) -> Array:
        """Compute rows ``want`` [T, C]."""
        first, _ = self._made(want)
        made = self.convolution(levels)
        rows = made.reshape(made.shape[1] * self.stride, -1)
        skipped = first % self.stride
        return rows[skipped : skipped + want.rows]

    def _made(self, want: RowRange) -> tuple[int, int]:
        return want.first + self.padding, want.end - 1 + self.padding


@dataclass(frozen=True, slots=True, eq=False)
class FloatConvolution:
    """A small convolution in float32: weight [outputs, inputs, 1, taps]."""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int

    def apply(self, rows: Array) -> Array:
        """Convolve [T, inputs] to [T / stride, outputs]."""
        given = torch.from_numpy(rows)[None, None].permute(0, 3, 1, 2)
        made = functional.conv2d(
            given, self.weight, self.bias, stride=(1, self.stride), padding=(0, self.padding)
        )
        values: Array = made.permute(0, 2, 3, 1)[0, 0].contiguous().numpy()
        return values
