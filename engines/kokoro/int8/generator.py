"""The generator in static int8: a window's features and spectra to its samples.

All arrays are rows [T, C]. Each layer computes only the rows that the window's samples depend on, so the
context shrinks from four frames on either side at the features to a fiftieth of a frame at the last layer.

Independent branches are shared with a helper thread where a core is idle (``cores``).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from engines.kokoro.int8.blocks import (
    Branch,
    FloatConvolution,
    Norms,
    Quantiser,
    ResidualBlock,
    RowRange,
    SnakeConvolution,
    Upsampling,
)
from engines.kokoro.int8.convolution import Convolution
from engines.kokoro.int8.kernels import (
    add_two,
    leaky_transposed_levels,
    mean_leaky,
    mean_leaky_levels,
    overlap_add,
)
from engines.kokoro.int8.packing.weights import PackedWeights
from engines.kokoro.network.cores import CorePool, SharedTask
from engines.kokoro.network.decoder import Window
from engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Stop
from speech.types import Samples

_DILATIONS = (1, 3, 5)
_LEAK, _LAST_LEAK = np.float32(0.1), np.float32(0.01)
_HOPS = 120
"""Short-time spectra of a frame."""
# Longer windows are computed in pieces, with the same samples: 4 % more computation, half the memory.
_MOST_FRAMES = 36
_HOP, _MARGIN = 5, 10
"""Samples between two short-time spectra; surplus samples of the inverse transform at either end."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Upsampling, addition of the source, and the mean of three residual blocks."""

    upsampling: Upsampling
    source: FloatConvolution
    source_block: ResidualBlock
    blocks: tuple[ResidualBlock, ResidualBlock, ResidualBlock]
    rows: int  # of one frame

    @property
    def reach(self) -> int:
        """Rows on either side that a row of the stage's output depends on."""
        return max(block.reach for block in self.blocks)


@dataclass(frozen=True, slots=True, eq=False)
class OutputLayer:
    """The last convolution, to 22 channels, and the inverse transform's basis [22, 20]."""

    convolution: FloatConvolution
    basis: Array

    @property
    def reach(self) -> int:
        """Rows on either side that a spectrum depends on."""
        return int(self.convolution.weight.shape[3]) // 2


class Int8Generator:
    """See ``Generator``; a call computes in the calling thread and in a helper where a core is idle."""

    # The receptive field is four frames for the features and five and a half for the source with its block.
    # With six, a window of two frames or more has exactly the samples of the whole (measured; with four:
    # 35 dB).
    context = 6

    def __init__(self, first: Stage, second: Stage, last: OutputLayer, cores: CorePool) -> None:
        self._first, self._second, self._last = first, second, last
        self._cores = cores

    @torch.inference_mode()
    def generate(self, window: Window, stop: Stop) -> Samples:
        """See ``Generator.audio``."""
        norms = Norms(window.scale.ravel(), window.shift.ravel())
        frames = window.features.shape[2] // 2
        end = frames - window.after
        pieces = -(-(end - window.before) // _MOST_FRAMES)
        edges = [window.before + (end - window.before) * piece // pieces for piece in range(pieces + 1)]
        made = []
        with self._cores.acquire() as helper:
            for first, until in pairwise(edges):
                begin, stops = max(first - self.context, 0), min(until + self.context, frames)
                piece = _Piece(
                    window.features[0, :, 2 * begin : 2 * stops],
                    window.spectra[0, :, _HOPS * begin : _HOPS * stops + 1],
                    norms,
                    stop,
                    helper,
                )
                made.append(self._generate(piece, first - begin, stops - until))
        return np.concatenate(made)

    def close(self) -> None:
        """See ``Generator.close``."""
        self._cores.close()

    def _generate(self, piece: _Piece, before: int, after: int) -> Samples:
        first, second, last = self._first, self._second, self._last
        end = piece.frames - after
        # Rows that each layer has to compute, from the samples back to the features.
        hops = second.rows * piece.frames + 1
        spectra = RowRange(second.rows * before, second.rows * end + 1).widened(1, hops)
        after_second = spectra.widened(last.reach, hops)
        into_second = after_second.widened(second.reach, hops)
        upsampled = RowRange(max(into_second.first - 1, 0), max(into_second.end - 1, 2))
        rows = first.rows * piece.frames
        after_first = second.upsampling.input_range(upsampled, rows)
        into_first = after_first.widened(first.reach, rows)
        given = first.upsampling.input_range(into_first, 2 * piece.frames)

        source_rows = np.ascontiguousarray(piece.spectra.T)
        later = SharedTask(
            partial(_source_branch, second, source_rows, into_second, hops, piece), piece.helper
        )
        source = _source_branch(first, source_rows, into_first, rows, piece)
        levels, left = first.upsampling.allocate_levels(given, into_first)
        leaky_transposed_levels(
            np.ascontiguousarray(piece.features[:, given.first : given.end]),
            _LEAK,
            first.upsampling.quantiser.per_step,
            first.upsampling.quantiser.zero,
            levels,
            left,
        )
        values = first.upsampling.apply(levels, into_first)
        add_two(values, *source)
        branches = _residual_branches(first, values, into_first, after_first, rows, piece)
        levels, left = second.upsampling.allocate_levels(after_first, upsampled)
        quantiser = second.upsampling.quantiser
        mean_leaky_levels(*branches, _LEAK, quantiser.per_step, quantiser.zero, levels, left)
        values = second.upsampling.apply(levels, upsampled)
        # The utterance's first row is the reflected third one, which is the second of these.
        values = np.concatenate((values[1:2], values)) if into_second.first == 0 else values
        values = values[: into_second.rows]
        add_two(values, *later.result())
        branches = _residual_branches(second, values, into_second, after_second, hops, piece)
        into_last = np.empty((spectra.rows + 2 * last.reach, values.shape[1]), np.float32)
        mean_leaky(*branches, _LAST_LEAK, into_last, after_second.first - spectra.first + last.reach)
        made = last.convolution.apply(into_last)
        samples = np.empty(_HOP * (len(made) - 1) + last.basis.shape[1], np.float32)
        overlap_add(made, last.basis, samples)
        begin = FRAME_SAMPLES * before + _MARGIN - _HOP * spectra.first
        return samples[begin : begin + FRAME_SAMPLES * (end - before)]


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A window or a part of one: features [512, 2n], spectra [22, 120n + 1]."""

    features: Array
    spectra: Array
    norms: Norms
    stop: Stop
    helper: ThreadPoolExecutor | None

    @property
    def frames(self) -> int:
        return int(self.features.shape[1]) // 2


def _source_branch(stage: Stage, spectra: Array, want: RowRange, rows: int, piece: _Piece) -> Branch:
    """Compute rows ``want``, of ``rows`` in all, of the stage's source branch from spectra [120n + 1, 22]."""
    have = want.widened(stage.source_block.reach, rows)
    values = have.select(stage.source.apply(spectra), RowRange(0, rows))
    return stage.source_block.apply(values, have, want, rows, piece.norms, piece.stop)


def _residual_branches(
    stage: Stage, values: Array, have: RowRange, want: RowRange, rows: int, piece: _Piece
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Compute rows ``want`` of all three blocks: values and addend of each."""

    def make(block: ResidualBlock) -> Branch:
        return block.apply(values, have, want, rows, piece.norms, piece.stop)

    *others, longest = stage.blocks
    made = [SharedTask(partial(make, block), piece.helper) for block in reversed(others)]
    return (*make(longest), *made[0].result(), *made[1].result())


def build_generator(packed: PackedWeights, cores: CorePool) -> Int8Generator:
    """Build the generator from the arrays of ``packing.generator``."""

    def array(name: str) -> Array:
        return np.array(packed[name], np.float32)

    def quantiser(name: str) -> Quantiser:
        return Quantiser(array(f"{name}.per_step"), array(f"{name}.zero"))

    def convolution(name: str) -> Convolution:
        return Convolution(
            packed[f"{name}.levels"].astype(np.int8), array(f"{name}.scale"), array(f"{name}.bias")
        )

    def product(name: str, dilation: int) -> SnakeConvolution:
        alpha = array(f"{name}.alpha")
        first = int(packed[f"{name}.norm"].item())
        norm = slice(first, first + len(alpha))
        return SnakeConvolution(
            norm, alpha, np.float32(1) / alpha, quantiser(name), convolution(name), dilation
        )

    def block(name: str) -> ResidualBlock:
        return ResidualBlock(
            [
                (product(f"{name}.convs1.{place}", dilation), product(f"{name}.convs2.{place}", 1))
                for place, dilation in enumerate(_DILATIONS)
            ]
        )

    def plain(name: str, stride: int, padding: int) -> FloatConvolution:
        weight = torch.from_numpy(array(f"{name}.weight"))[:, :, None]
        return FloatConvolution(weight, torch.from_numpy(array(f"{name}.bias")), stride, padding)

    def stage(number: int, stride: int, rows: int, source: FloatConvolution) -> Stage:
        names = [f"resblocks.{3 * number + place}" for place in range(3)]
        one, other, longest = (block(name) for name in names)
        up = Upsampling(quantiser(f"ups.{number}"), convolution(f"ups.{number}"), stride)
        return Stage(up, source, block(f"noise_res.{number}"), (one, other, longest), rows)

    return Int8Generator(
        stage(0, 10, 20, plain("noise_convs.0", 6, 3)),
        stage(1, 6, 120, plain("noise_convs.1", 1, 0)),
        OutputLayer(plain("conv_post", 1, 0), array("basis")),
        cores,
    )
