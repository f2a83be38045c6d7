"""Builds the generator's LiteRT graphs: a window's features and spectra to its samples.

Each layer computes only the rows that the window's samples depend on: of four frames of context at the
features a fiftieth of a frame is left at the last layer. Rows are counted from the window's two ends, so one
graph serves windows of all lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kani.engines.kokoro.litert.packed import CONTEXT_FRAMES
from kani.engines.kokoro.network.onnx_model import Array
from tools.kokoro_pack.packing.generator import Scales, as_two_tap_weight, static_convolution
from tools.kokoro_pack.packing.graph import LEVEL, Graph, Tensor
from tools.kokoro_pack.packing.layers import (
    Layers,
    ResidualBlock,
    Stage,
    Step,
    Upsampling,
    residual_blocks,
)

_FEATURES, _SPECTRA = 512, 22
_HOPS = 120
"""Short-time spectra of a frame."""

_BINS = 11
"""Bins of a short-time spectrum."""


class Missing(NamedTuple):
    """Rows that a tensor lacks at the start and at the end of a layer of the window."""

    before: int
    after: int

    def widened(self, rows: int) -> Missing:
        """With ``rows`` more on either side."""
        return Missing(self.before - rows, self.after - rows)


def norm_coefficients(layers: Layers, scales: Scales) -> dict[str, Array]:
    """Constants of all snakes, from which an utterance's factors and summands follow.

    With v = scale · x + shift, the level of snake(v) is per_step · (v + (1 − cos 2αv) / 2α) + zero.
    ``double_alpha`` is 2α; ``per_step`` and ``offset``, zero + per_step / 2α, are in units of
    ``Graph.fixed_levels``. In the order of the norms.
    """
    steps = [step for block in residual_blocks(layers) for pair in block.pairs for step in pair]
    steps.sort(key=lambda step: step.snake.norm)
    known = [scales[step.convolution.name] for step in steps]
    double_alpha = 2 * np.concatenate([step.snake.alpha for step in steps])
    per_step = np.concatenate([1 / scale.step for scale in known]) * LEVEL
    zero = np.concatenate([scale.zero for scale in known]).astype(np.float32)
    return {
        "double_alpha": double_alpha,
        "per_step": per_step,
        "offset": zero * LEVEL + per_step / double_alpha,
    }


class GeneratorGraph:
    """Builds the graph of windows with context on both sides."""

    def __init__(self, layers: Layers, scales: Scales) -> None:
        self._layers, self._scales = layers, scales
        self._graph = Graph()

    def build(self) -> bytes:
        """Build the model: the samples of all frames but the context, ``Layers.hop`` a row."""
        graph, layers = self._graph, self._layers
        first, second = layers.stages
        features, spectra = graph.input("features", _FEATURES), graph.input("spectra", _SPECTRA)
        self._given = graph.input("coefficients", 4 * layers.norms, rows=1)
        wanted = Missing(_HOPS * CONTEXT_FRAMES, _HOPS * CONTEXT_FRAMES).widened(1)
        after_second = wanted.widened(layers.last.padding)
        into_second = after_second.widened(_reach(*second.blocks))
        # Row 0 of the second stage is its row 2, mirrored: the upsampled rows are counted from row 1.
        upsampled = Missing(into_second.before - second.reflected, into_second.after)
        after_first = _input_rows(second.upsampling, upsampled)
        into_first = after_first.widened(_reach(*first.blocks))
        given = _input_rows(first.upsampling, into_first)

        values = graph.leaky(graph.rows(features, given.before, dropped=given.after), first.slope)
        values = self._upsample(values, first.upsampling, into_first)
        values = graph.add(values, self._source(first, spectra, into_first))
        values = self._mean(values, first.blocks, into_first, after_first)
        values = self._upsample(graph.leaky(values, second.slope), second.upsampling, upsampled)
        values = graph.add(values, self._source(second, spectra, into_second))
        values = self._mean(values, second.blocks, into_second, after_second)
        values = graph.leaky(values, layers.slope)
        values = self._within(values, after_second, wanted, layers.last.padding)
        made = graph.convolve_exactly(values, layers.last.weight, layers.last.bias)
        return graph.finish(audio=self._inverse_transform(made))

    def _upsample(self, values: Tensor, up: Upsampling, wanted: Missing) -> Tensor:
        """Transposed convolution of 2 · stride taps, as one of two taps that makes ``stride`` rows a step."""
        graph, scale = self._graph, self._scales[up.name]
        values = graph.multiply(values, graph.constant(1 / scale.step * LEVEL))
        values = graph.add_clipped(values, graph.constant(scale.zero.astype(np.float32) * LEVEL))
        weight, bias = as_two_tap_weight(up), np.tile(up.bias, up.stride)
        made = graph.rows(self._convolved(values, up.name, weight, bias), dropped=1)
        rows = graph.split_rows(made, up.stride)
        skipped = (wanted.before + up.padding) % up.stride
        dropped = up.stride - 1 - (up.padding - 1 - wanted.after) % up.stride
        return graph.rows(rows, skipped, dropped=dropped)

    def _convolved(self, values: Tensor, name: str, weight: Array, bias: Array, dilation: int = 1) -> Tensor:
        """Convolve clipped levels; the last row is not valid."""
        own = static_convolution(weight, bias, self._scales[name])
        levels = self._graph.fixed_levels(values)
        return self._graph.convolve(levels, own.levels, own.unit / LEVEL, own.bias, dilation)

    def _inverse_transform(self, spectrum: Tensor) -> Tensor:
        """Inverse STFT of log magnitudes and of values; the phase is their sine.

        Windows of four hops overlap, which is a convolution of four taps. Its sums do not depend on where a
        window begins, as those of NumPy's matrix product do.
        """
        graph, hop = self._graph, self._layers.hop
        magnitude = graph.exponential(graph.select(spectrum, 0, _BINS))
        phase = graph.sine(graph.select(spectrum, _BINS, _BINS))
        values = graph.beside(
            graph.multiply(magnitude, graph.cosine(phase)), graph.multiply(magnitude, graph.sine(phase))
        )
        basis = self._layers.basis.reshape(2 * _BINS, -1, hop)
        return graph.convolve_exactly(values, basis[:, ::-1].transpose(2, 0, 1), np.zeros(hop, np.float32))

    def _within(self, values: Tensor, have: Missing, wanted: Missing, reach: int = 0) -> Tensor:
        """Rows that the wanted rows of a layer depend on."""
        return self._graph.rows(
            values, wanted.before - reach - have.before, dropped=wanted.after - reach - have.after
        )

    def _snake(self, values: Tensor, step: Step, have: Missing, wanted: Missing) -> Tensor:
        """Norm, snake activation and convolution."""
        graph, convolution, alpha = self._graph, step.convolution, step.snake.alpha
        per_step = 1 / self._scales[convolution.name].step
        angle_factor, angle_shift, factor, shift = (
            graph.select(self._given, kind * self._layers.norms + step.snake.norm, len(alpha))
            for kind in range(4)
        )
        turned = graph.cosine(graph.add(graph.multiply(values, angle_factor), angle_shift))
        turned = graph.multiply(turned, graph.constant(-per_step / (2 * alpha) * LEVEL))
        straight = graph.add(graph.multiply(values, factor), shift)
        clipped = self._within(graph.add_clipped(straight, turned), have, wanted, convolution.padding)
        made = self._convolved(
            clipped, convolution.name, convolution.weight, convolution.bias, convolution.dilation
        )
        return graph.rows(made, dropped=1)

    def _residual(self, values: Tensor, block: ResidualBlock, have: Missing, wanted: Missing) -> Tensor:
        """Three times x + second(first(x))."""
        left = _reach(block)
        for first, second in block.pairs:
            left -= first.convolution.padding + second.convolution.padding
            out = wanted.widened(left)
            between = out.widened(second.convolution.padding)
            made = self._snake(values, first, have, between)
            made = self._snake(made, second, between, out)
            values, have = self._graph.add(self._within(values, have, out), made), out
        return values

    def _mean(
        self, values: Tensor, blocks: Sequence[ResidualBlock], have: Missing, wanted: Missing
    ) -> Tensor:
        one, other, third = (self._residual(values, block, have, wanted) for block in blocks)
        total = self._graph.add(self._graph.add(one, other), third)
        return self._graph.multiply(total, self._graph.constant(np.full(1, 1 / 3)))

    def _source(self, stage: Stage, spectra: Tensor, wanted: Missing) -> Tensor:
        """The source's branch: a small convolution and a residual block."""
        graph, source = self._graph, stage.source
        have = wanted.widened(_reach(stage.source_block))
        if source.padding:
            zeros = graph.constant(np.zeros((source.padding, _SPECTRA)))
            spectra = graph.stack(zeros, spectra, zeros)
        values = graph.convolve_exactly(spectra, source.weight, source.bias, source.stride)
        values = graph.rows(values, have.before, dropped=have.after)
        return self._residual(values, stage.source_block, have, wanted)


def _reach(*blocks: ResidualBlock) -> int:
    """Rows on either side that a row depends on, in the block that reaches farthest."""
    return max(sum(step.convolution.padding for pair in block.pairs for step in pair) for block in blocks)


def _input_rows(up: Upsampling, wanted: Missing) -> Missing:
    """Input rows of an upsampling that the wanted output rows depend on."""
    first = (wanted.before + up.padding) // up.stride
    last = (up.padding - 1 - wanted.after) // up.stride  # counted from the input's end: −1 is the last row
    return Missing(first - 1, -(last + 1))
