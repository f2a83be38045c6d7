"""The generator in static int8: a window's features and spectra to its samples.

Everything is rows [T, C]. A layer is given just the rows that the window's samples depend on, so its context
shrinks on the way: from four frames on either side at the features to a fiftieth of one at the last layer.

Branches that do not depend on each other are shared with another thread where a core is idle (``cores``).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.kokoro.fast.convolution import Convolution, Levels
from engines.kokoro.fast.cores import Cores, Work
from engines.kokoro.fast.kernels import (
    add_both,
    features_levels,
    mean_leaky,
    mean_leaky_levels,
    overlap_add,
    snake_levels,
    sum_snake_levels,
)
from engines.kokoro.fast.packing import Packed
from engines.kokoro.front import Front
from engines.kokoro.generator import Decoder
from engines.kokoro.model import FRAME, Array, Stop, Stopped
from speech.types import Samples

_DILATIONS = (1, 3, 5)
_LEAK, _LAST_LEAK = np.float32(0.1), np.float32(0.01)
_HOPS = 120
"""Short-time spectra of a frame."""
# What is longer is made in pieces, which have the same samples: 4 % more to compute, and half the memory.
_MOST_FRAMES = 36
_HOP, _MARGIN = 5, 10
"""Samples from one short-time spectrum to the next; those that the inverse transform gives too much."""


class Extent(NamedTuple):
    """Rows [first, end) of a layer, counted from the first that the window was given."""

    first: int
    end: int

    def wider(self, by: int, rows: int) -> Extent:
        """With ``by`` rows more on either side, of the ``rows`` that there are."""
        return Extent(max(self.first - by, 0), min(self.end + by, rows))

    def of(self, values: Array, have: Extent) -> Array:
        """These rows, of the rows ``have`` [T, C]."""
        return values[self.first - have.first : self.end - have.first]

    @property
    def rows(self) -> int:
        """How many."""
        return self.end - self.first


class Branch(NamedTuple):
    """What came in, and what the last convolution adds to it: [T, C] both."""

    values: Array
    more: Array


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
class Product:
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

    def of(self, values: Array, have: Extent, want: Extent, norms: Norms) -> Array:
        """Rows ``want``, dealt to phases [d, ·, C], of rows ``have``, dealt to phases [e, ·, C]."""
        levels, left = self._room(have, want)
        snake_levels(values, *self._channels(norms), levels, left, have.rows)
        return self.convolution(levels)

    def of_sum(self, branch: Branch, total: Array, have: Extent, want: Extent, norms: Norms) -> Array:
        """The same of a branch, whose sum is left in ``total`` [T, C]."""
        levels, left = self._room(have, want)
        sum_snake_levels(*branch, total, *self._channels(norms), levels, left)
        return self.convolution(levels)

    def _room(self, have: Extent, want: Extent) -> tuple[Levels, int]:
        """Where the levels of the input go, and how many rows of zeros are before them."""
        rows = -(-(want.rows + 2 * self.reach) // self.dilation)
        levels = np.empty((self.dilation, rows, len(self.alpha)), np.uint8)
        return levels, have.first - want.first + self.reach

    def _channels(self, norms: Norms) -> tuple[Array, Array, Array, Array, Array, Array]:
        scale, shift = norms.scale[self.norm], norms.shift[self.norm]
        return scale, shift, self.alpha, self.inverse, self.quantiser.per_step, self.quantiser.zero


class ResidualBlock:
    """Three times: x + product(product(x)), the first of which is dilated."""

    def __init__(self, pairs: Sequence[tuple[Product, Product]]) -> None:
        self._pairs = pairs
        self.reach = sum(first.reach + second.reach for first, second in pairs)

    def of(self, values: Array, have: Extent, want: Extent, rows: int, norms: Norms, stop: Stop) -> Branch:
        """Rows ``want`` of what becomes of rows ``have`` [T, C], of ``rows`` in all. Raises Stopped."""
        (first, second), *others = self._pairs
        out = want.wider(self.reach - first.reach - second.reach, rows)
        between = out.wider(second.reach, rows)
        made = first.of(values[None], have, between, norms)
        branch = Branch(out.of(values, have), second.of(made, between, out, norms)[0])
        # What came in is others' too.
        total = np.empty_like(branch.values)
        reach = self.reach - first.reach - second.reach
        for first, second in others:
            if stop.is_set:
                raise Stopped
            have, reach = out, reach - first.reach - second.reach
            out = want.wider(reach, rows)
            between = out.wider(second.reach, rows)
            made = first.of_sum(branch, total, have, between, norms)
            more = second.of(made, between, out, norms)[0]
            total = out.of(total, have)
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

    def needs(self, want: Extent, rows: int) -> Extent:
        """The rows, of ``rows`` that there are, on which rows ``want`` depend."""
        first, last = (row // self.stride for row in self._made(want))
        return Extent(max(first - 1, 0), min(last + 1, rows))

    def room(self, have: Extent, want: Extent) -> tuple[Levels, int]:
        """Where the levels of the input go [1, ·, C], and how many rows of zeros are before them."""
        first, last = (row // self.stride for row in self._made(want))
        levels = np.empty((1, last - first + 2, len(self.quantiser.zero)), np.uint8)
        return levels, have.first - first + 1

    def of(self, levels: Levels, want: Extent) -> Array:
        """Rows ``want`` [T, C]."""
        first, _ = self._made(want)
        made = self.convolution(levels)
        rows = made.reshape(made.shape[1] * self.stride, -1)
        skipped = first % self.stride
        return rows[skipped : skipped + want.rows]

    def _made(self, want: Extent) -> tuple[int, int]:
        return want.first + self.padding, want.end - 1 + self.padding


@dataclass(frozen=True, slots=True, eq=False)
class PlainConvolution:
    """A small one, in float32: weight [outputs, inputs, 1, taps]."""

    weight: Tensor
    bias: Tensor
    stride: int
    padding: int

    def of(self, rows: Array) -> Array:
        """[T, inputs] → [T / stride, outputs]."""
        given = torch.from_numpy(rows)[None, None].permute(0, 3, 1, 2)
        made = functional.conv2d(
            given, self.weight, self.bias, stride=(1, self.stride), padding=(0, self.padding)
        )
        values: Array = made.permute(0, 2, 3, 1)[0, 0].contiguous().numpy()
        return values


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Upsampling, the source's share, and three residual blocks of which the mean goes on.

    rows: of a frame.
    """

    upsampling: Upsampling
    source: PlainConvolution
    source_block: ResidualBlock
    blocks: tuple[ResidualBlock, ResidualBlock, ResidualBlock]
    rows: int

    @property
    def reach(self) -> int:
        """Rows on either side that a row of what goes on depends on."""
        return max(block.reach for block in self.blocks)


@dataclass(frozen=True, slots=True, eq=False)
class Last:
    """From the last rows to samples: a convolution to 22 channels; the inverse transform's basis [22, 20]."""

    convolution: PlainConvolution
    basis: Array

    @property
    def reach(self) -> int:
        """Rows on either side that a spectrum depends on."""
        return int(self.convolution.weight.shape[3]) // 2


class FastGenerator:
    """See ``Generator``; a call computes in the calling thread, and in another one where a core is idle."""

    decoder: Decoder = "fast"
    # The features reach over four frames, the source through its own block over five and a half. With all of
    # that a window of two frames or more has the very samples of the whole (measured; with four: 35 dB).
    context = 6

    def __init__(self, first: Stage, second: Stage, last: Last, cores: Cores, front: Front) -> None:
        self._first, self._second, self._last = first, second, last
        self._cores = cores
        self.front = front

    @torch.inference_mode()
    def audio(
        self,
        features: Array,
        spectra: Array,
        scale: Array,
        shift: Array,
        *,
        before: int,
        after: int,
        stop: Stop,
    ) -> Samples:
        """See ``Generator.audio``."""
        norms = Norms(scale.ravel(), shift.ravel())
        frames = features.shape[2] // 2
        end = frames - after
        pieces = -(-(end - before) // _MOST_FRAMES)
        edges = [before + (end - before) * piece // pieces for piece in range(pieces + 1)]
        made = []
        with self._cores.window() as spare:
            for first, until in pairwise(edges):
                begin, stops = max(first - self.context, 0), min(until + self.context, frames)
                window = _Window(
                    features[0, :, 2 * begin : 2 * stops],
                    spectra[0, :, _HOPS * begin : _HOPS * stops + 1],
                    norms,
                    stop,
                    spare,
                )
                made.append(self._of(window, first - begin, stops - until))
        return np.concatenate(made)

    def close(self) -> None:
        """See ``Generator.close``."""
        self._cores.close()

    def _of(self, window: _Window, before: int, after: int) -> Samples:
        first, second, last = self._first, self._second, self._last
        end = window.frames - after
        # Which rows each layer has to make, from the samples back to the features.
        hops = second.rows * window.frames + 1
        spectra = Extent(second.rows * before, second.rows * end + 1).wider(1, hops)
        after_second = spectra.wider(last.reach, hops)
        into_second = after_second.wider(second.reach, hops)
        upsampled = Extent(max(into_second.first - 1, 0), max(into_second.end - 1, 2))
        rows = first.rows * window.frames
        after_first = second.upsampling.needs(upsampled, rows)
        into_first = after_first.wider(first.reach, rows)
        given = first.upsampling.needs(into_first, 2 * window.frames)

        source_rows = np.ascontiguousarray(window.spectra.T)
        later = Work(partial(_source, second, source_rows, into_second, hops, window), window.spare)
        source = _source(first, source_rows, into_first, rows, window)
        levels, left = first.upsampling.room(given, into_first)
        features_levels(
            np.ascontiguousarray(window.features[:, given.first : given.end]),
            _LEAK,
            first.upsampling.quantiser.per_step,
            first.upsampling.quantiser.zero,
            levels,
            left,
        )
        values = first.upsampling.of(levels, into_first)
        add_both(values, *source)
        branches = _branches(first, values, into_first, after_first, rows, window)
        levels, left = second.upsampling.room(after_first, upsampled)
        quantiser = second.upsampling.quantiser
        mean_leaky_levels(*branches, _LEAK, quantiser.per_step, quantiser.zero, levels, left)
        values = second.upsampling.of(levels, upsampled)
        # The first row of all is the mirror's: the third of all, which is the second of these.
        values = np.concatenate((values[1:2], values)) if into_second.first == 0 else values
        values = values[: into_second.rows]
        add_both(values, *later.result())
        branches = _branches(second, values, into_second, after_second, hops, window)
        into_last = np.empty((spectra.rows + 2 * last.reach, values.shape[1]), np.float32)
        mean_leaky(*branches, _LAST_LEAK, into_last, after_second.first - spectra.first + last.reach)
        made = last.convolution.of(into_last)
        samples = np.empty(_HOP * (len(made) - 1) + last.basis.shape[1], np.float32)
        overlap_add(made, last.basis, samples)
        begin = FRAME * before + _MARGIN - _HOP * spectra.first
        return samples[begin : begin + FRAME * (end - before)]


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """What one call was given: features [512, 2n], spectra [22, 120n + 1]."""

    features: Array
    spectra: Array
    norms: Norms
    stop: Stop
    spare: ThreadPoolExecutor | None

    @property
    def frames(self) -> int:
        return int(self.features.shape[1]) // 2


def _source(stage: Stage, spectra: Array, want: Extent, rows: int, window: _Window) -> Branch:
    """Rows ``want`` of what the source's spectra [120n + 1, 22] become, of ``rows`` in all."""
    have = want.wider(stage.source_block.reach, rows)
    values = have.of(stage.source.of(spectra), Extent(0, rows))
    return stage.source_block.of(values, have, want, rows, window.norms, window.stop)


def _branches(
    stage: Stage, values: Array, have: Extent, want: Extent, rows: int, window: _Window
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Rows ``want`` of all three blocks: (values, more) of each, to be added up."""

    def make(block: ResidualBlock) -> Branch:
        return block.of(values, have, want, rows, window.norms, window.stop)

    *others, longest = stage.blocks
    made = [Work(partial(make, block), window.spare) for block in reversed(others)]
    return (*make(longest), *made[0].result(), *made[1].result())


def assembled(packed: Packed, cores: Cores, front: Front) -> FastGenerator:
    """The generator of what ``packing`` has packed; front: who makes what it is given."""

    def array(name: str) -> Array:
        return np.array(packed[name], np.float32)

    def quantiser(name: str) -> Quantiser:
        return Quantiser(array(f"{name}.per_step"), array(f"{name}.zero"))

    def convolution(name: str) -> Convolution:
        return Convolution(
            packed[f"{name}.levels"].astype(np.int8), array(f"{name}.scale"), array(f"{name}.bias")
        )

    def product(name: str, dilation: int) -> Product:
        alpha = array(f"{name}.alpha")
        first = int(packed[f"{name}.norm"].item())
        norm = slice(first, first + len(alpha))
        return Product(norm, alpha, np.float32(1) / alpha, quantiser(name), convolution(name), dilation)

    def block(name: str) -> ResidualBlock:
        return ResidualBlock(
            [
                (product(f"{name}.convs1.{place}", dilation), product(f"{name}.convs2.{place}", 1))
                for place, dilation in enumerate(_DILATIONS)
            ]
        )

    def plain(name: str, stride: int, padding: int) -> PlainConvolution:
        weight = torch.from_numpy(array(f"{name}.weight"))[:, :, None]
        return PlainConvolution(weight, torch.from_numpy(array(f"{name}.bias")), stride, padding)

    def stage(number: int, stride: int, rows: int, source: PlainConvolution) -> Stage:
        names = [f"resblocks.{3 * number + place}" for place in range(3)]
        one, other, longest = (block(name) for name in names)
        up = Upsampling(quantiser(f"ups.{number}"), convolution(f"ups.{number}"), stride)
        return Stage(up, source, block(f"noise_res.{number}"), (one, other, longest), rows)

    return FastGenerator(
        stage(0, 10, 20, plain("noise_convs.0", 6, 3)),
        stage(1, 6, 120, plain("noise_convs.1", 1, 0)),
        Last(plain("conv_post", 1, 0), array("basis")),
        cores,
        front,
    )
