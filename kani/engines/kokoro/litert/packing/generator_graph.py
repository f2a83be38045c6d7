"""Builds the generator's LiteRT graphs: a window's features and spectra to its samples.

Each layer computes only the rows that the window's samples depend on: of four frames of context at the
features a fiftieth of a frame is left at the last layer. Rows are counted from the window's two ends, so one
graph serves windows of all lengths.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kani.engines.kokoro.litert.packing.graph import LEVEL, Graph, Tensor
from kani.engines.kokoro.litert.packing.store import CONTEXT_FRAMES
from kani.engines.kokoro.litert.packing.weights import PackedWeights
from kani.engines.kokoro.network.onnx_model import Array

_DILATIONS = (1, 3, 5)
_FEATURES, _SPECTRA = 512, 22
_LEAK, _LAST_LEAK = 0.1, 0.01
_HOPS = 120
"""Short-time spectra of a frame."""

_HOP, _BINS = 5, 11
"""Samples between two short-time spectra; bins."""


class Missing(NamedTuple):
    """Rows that a tensor lacks at the start and at the end of a layer of the window."""

    before: int
    after: int

    def widened(self, rows: int) -> Missing:
        """With ``rows`` more on either side."""
        return Missing(self.before - rows, self.after - rows)


def norm_coefficients(packed: PackedWeights) -> dict[str, Array]:
    """Constants of all snakes, from which an utterance's factors and summands follow.

    With v = scale · x + shift, the level of snake(v) is per_step · (v + (1 − cos 2αv) / 2α) + zero.
    ``double_alpha`` is 2α; ``per_step`` and ``offset``, zero + per_step / 2α, are in units of
    ``Graph.fixed_levels``. In the order of the norms.
    """
    names = [name.removesuffix(".norm") for name in packed if name.endswith(".norm")]
    names.sort(key=lambda name: int(packed[f"{name}.norm"].item()))

    def joined(kind: str) -> Array:
        return np.concatenate([np.array(packed[f"{name}.{kind}"], np.float32) for name in names])

    double_alpha, per_step = 2 * joined("alpha"), joined("per_step") * LEVEL
    offset = joined("zero") * LEVEL + per_step / double_alpha
    return {"double_alpha": double_alpha, "per_step": per_step, "offset": offset}


class GeneratorGraph:
    """Builds the graph of windows with context on both sides."""

    def __init__(self, packed: PackedWeights) -> None:
        self._packed = packed
        self._graph = Graph()
        self._norms = sum(len(packed[f"{name[:-5]}.alpha"]) for name in packed if name.endswith(".norm"))

    def build(self) -> bytes:
        """Build the model: the samples of all frames but the context, ``_HOP`` a row."""
        graph = self._graph
        features, spectra = graph.input("features", _FEATURES), graph.input("spectra", _SPECTRA)
        self._given = graph.input("coefficients", 4 * self._norms, rows=1)
        wanted = Missing(_HOPS * CONTEXT_FRAMES, _HOPS * CONTEXT_FRAMES).widened(1)
        reach = self._array("conv_post.weight").shape[2] // 2
        after_second = wanted.widened(reach)
        into_second = after_second.widened(self._block_reach("resblocks.3", "resblocks.4", "resblocks.5"))
        # Row 0 of the second stage is its row 2, mirrored: the upsampled rows are counted from row 1.
        upsampled = Missing(into_second.before - 1, into_second.after)
        after_first = self._input_rows(6, upsampled)
        into_first = after_first.widened(self._block_reach("resblocks.0", "resblocks.1", "resblocks.2"))
        given = self._input_rows(10, into_first)

        values = graph.leaky(graph.rows(features, given.before, dropped=given.after), _LEAK)
        values = self._upsample(values, "ups.0", 10, into_first)
        values = graph.add(values, self._source("noise_convs.0", "noise_res.0", spectra, 6, into_first))
        values = self._mean(values, range(3), into_first, after_first)
        values = self._upsample(graph.leaky(values, _LEAK), "ups.1", 6, upsampled)
        values = graph.add(values, self._source("noise_convs.1", "noise_res.1", spectra, 1, into_second))
        values = self._mean(values, range(3, 6), into_second, after_second)
        values = self._within(graph.leaky(values, _LAST_LEAK), after_second, wanted, reach)
        made = graph.convolve_exactly(values, self._array("conv_post.weight"), self._array("conv_post.bias"))
        return graph.finish(audio=self._inverse_transform(made))

    def _array(self, name: str) -> Array:
        array = np.array(self._packed[name], np.float32)
        # Small convolutions are stored with an axis of height.
        return array.reshape(*array.shape[:2], -1) if name.endswith(".weight") else array

    def _levels(self, name: str) -> npt.NDArray[np.int8]:
        return self._packed[f"{name}.levels"].astype(np.int8)

    def _block_reach(self, *blocks: str) -> int:
        return max(sum(first + second for first, second in self._reaches(block)) for block in blocks)

    def _reaches(self, block: str) -> list[tuple[int, int]]:
        """Rows on either side that a row depends on, of both convolutions of each pair."""
        taps = self._packed[f"{block}.convs1.0.levels"].shape[2]
        return [(taps // 2 * dilation, taps // 2) for dilation in _DILATIONS]

    def _input_rows(self, stride: int, wanted: Missing) -> Missing:
        """Input rows of an upsampling that the wanted output rows depend on."""
        cut = stride // 2
        first = (wanted.before + cut) // stride
        last = (cut - 1 - wanted.after) // stride  # counted from the input's end, where −1 is the last row
        return Missing(first - 1, -(last + 1))

    def _upsample(self, values: Tensor, name: str, stride: int, wanted: Missing) -> Tensor:
        """Transposed convolution of 2 · stride taps, as one of two taps that makes ``stride`` rows a step."""
        graph, cut = self._graph, stride // 2
        values = graph.multiply(values, graph.constant(self._array(f"{name}.per_step") * LEVEL))
        values = graph.add_clipped(values, graph.constant(self._array(f"{name}.zero") * LEVEL))
        made = graph.rows(self._convolved(values, name, 1), dropped=1)
        rows = graph.split_rows(made, stride)
        skipped = (wanted.before + cut) % stride
        dropped = stride - 1 - (cut - 1 - wanted.after) % stride
        return graph.rows(rows, skipped, dropped=dropped)

    def _convolved(self, values: Tensor, name: str, dilation: int) -> Tensor:
        """Convolve clipped levels; the last row is not valid."""
        return self._graph.convolve(
            self._graph.fixed_levels(values),
            self._levels(name),
            self._array(f"{name}.scale") / LEVEL,
            self._array(f"{name}.bias"),
            dilation,
        )

    def _inverse_transform(self, spectrum: Tensor) -> Tensor:
        """Inverse STFT of log magnitudes and of values; the phase is their sine.

        Windows of four hops overlap, which is a convolution of four taps. Its sums do not depend on where a
        window begins, as those of NumPy's matrix product do.
        """
        graph = self._graph
        magnitude = graph.exponential(graph.select(spectrum, 0, _BINS))
        phase = graph.sine(graph.select(spectrum, _BINS, _BINS))
        values = graph.beside(
            graph.multiply(magnitude, graph.cosine(phase)), graph.multiply(magnitude, graph.sine(phase))
        )
        basis = np.array(self._packed["basis"], np.float32).reshape(2 * _BINS, -1, _HOP)
        weight = basis[:, ::-1].transpose(2, 0, 1)
        return graph.convolve_exactly(values, weight, np.zeros(_HOP, np.float32))

    def _within(self, values: Tensor, have: Missing, wanted: Missing, reach: int = 0) -> Tensor:
        """Rows that the wanted rows of a layer depend on."""
        return self._graph.rows(
            values, wanted.before - reach - have.before, dropped=wanted.after - reach - have.after
        )

    def _snake(self, values: Tensor, name: str, dilation: int, have: Missing, wanted: Missing) -> Tensor:
        """Norm, snake activation and convolution."""
        graph = self._graph
        alpha, per_step = self._array(f"{name}.alpha"), self._array(f"{name}.per_step")
        first, count = int(self._packed[f"{name}.norm"].item()), len(alpha)
        angle_factor, angle_shift, factor, shift = (
            graph.select(self._given, kind * self._norms + first, count) for kind in range(4)
        )
        turned = graph.cosine(graph.add(graph.multiply(values, angle_factor), angle_shift))
        turned = graph.multiply(turned, graph.constant(-per_step / (2 * alpha) * LEVEL))
        straight = graph.add(graph.multiply(values, factor), shift)
        clipped = graph.add_clipped(straight, turned)
        taps = self._packed[f"{name}.levels"].shape[2]
        clipped = self._within(clipped, have, wanted, (taps - 1) // 2 * dilation)
        return graph.rows(self._convolved(clipped, name, dilation), dropped=1)

    def _residual(self, values: Tensor, block: str, have: Missing, wanted: Missing) -> Tensor:
        """Three times x + second(first(x)); the first convolution of each pair is dilated."""
        reaches = self._reaches(block)
        for place, dilation in enumerate(_DILATIONS):
            left = sum(first + second for first, second in reaches[place + 1 :])
            out = wanted.widened(left)
            between = out.widened(reaches[place][1])
            made = self._snake(values, f"{block}.convs1.{place}", dilation, have, between)
            made = self._snake(made, f"{block}.convs2.{place}", 1, between, out)
            values, have = self._graph.add(self._within(values, have, out), made), out
        return values

    def _mean(self, values: Tensor, blocks: range, have: Missing, wanted: Missing) -> Tensor:
        one, other, third = (self._residual(values, f"resblocks.{place}", have, wanted) for place in blocks)
        total = self._graph.add(self._graph.add(one, other), third)
        return self._graph.multiply(total, self._graph.constant(np.full(1, 1 / 3)))

    def _source(self, name: str, block: str, spectra: Tensor, stride: int, wanted: Missing) -> Tensor:
        """The source's branch: a small convolution and a residual block."""
        graph, weight = self._graph, self._array(f"{name}.weight")
        have = wanted.widened(self._block_reach(block))
        padding = weight.shape[2] // 4 if stride > 1 else 0
        if padding:
            zeros = graph.constant(np.zeros((padding, _SPECTRA)))
            spectra = graph.stack(zeros, spectra, zeros)
        values = graph.convolve_exactly(spectra, weight, self._array(f"{name}.bias"), stride)
        return self._residual(graph.rows(values, have.before, dropped=have.after), block, have, wanted)
