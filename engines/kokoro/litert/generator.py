"""The generator in static int8 on LiteRT: a window's features and spectra to its samples.

Each layer computes only the rows that the window's samples depend on: of four frames of context at the
features a fiftieth of a frame is left at the last layer. Rows are counted from the window's two ends, so one
graph serves windows of all lengths; there is one for each combination of true ends of the utterance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engines.kokoro.litert.graph import LEVEL, Graph, Model, Tensor
from engines.kokoro.litert.packing.weights import PackedWeights
from engines.kokoro.network.cores import CorePool, SharedTask
from engines.kokoro.network.decoder import Window
from engines.kokoro.network.onnx_model import FRAME_SAMPLES, Array, Stop, Stopped
from speech.types import Samples

CONTEXT_FRAMES = 6
"""Frames of context on either side. The receptive field is four frames for the features, and five and a half
for the source with its block."""

_DILATIONS = (1, 3, 5)
_STAGES = (("ups.0", 10, 20), ("ups.1", 6, 120))
"""Names of the upsamplings, their strides, and rows of a frame after them."""

_FEATURES, _SPECTRA = 512, 22
_LEAK, _LAST_LEAK = 0.1, 0.01
_HOPS = 120
"""Short-time spectra of a frame."""

_MOST_FRAMES = 32
"""Frames computed in one call. A cancellation takes effect between two calls; each computes its own context,
which costs as much as two frames."""

_SHARED_FRAMES = 10
"""Frames from which on a window is worth dividing between two cores: each part computes its own context."""

_HOP, _BINS = 5, 11
"""Samples between two short-time spectra; bins."""


class Missing(NamedTuple):
    """Rows that a tensor lacks at the start and at the end of a layer of the window."""

    before: int
    after: int

    def widened(self, rows: int) -> Missing:
        """With ``rows`` more on either side, as far as the layer has them."""
        return Missing(max(self.before - rows, 0), max(self.after - rows, 0))


class LiteRtGenerator:
    """See ``Generator``; a call computes in the calling thread, and in a helper where a core is idle."""

    context = CONTEXT_FRAMES

    def __init__(self, packed: PackedWeights, cores: CorePool) -> None:
        """packed: by ``packing.generator``."""
        self._weights = {name: packed[name] for name in packed}
        self._cores = cores
        self._coefficients = _Coefficients(self._weights)
        # A graph is built at its first use: many utterances have no window with both true ends.
        self._model = cache(self._built)

    def generate(self, window: Window, stop: Stop) -> Samples:
        """See ``Generator.generate``."""
        frames = window.features.shape[2] // 2
        first, end = window.before, frames - window.after
        coefficients = self._coefficients.of(window.scale.ravel(), window.shift.ravel())
        with self._cores.acquire() as helper:
            pieces = -(-(end - first) // _MOST_FRAMES)
            if helper is not None and pieces == 1 and end - first >= _SHARED_FRAMES:
                pieces = 2
            edges = [first + (end - first) * piece // pieces for piece in range(pieces + 1)]
            tasks: list[Callable[[], Samples]] = [
                partial(self._piece, window, coefficients, *edge, stop) for edge in pairwise(edges)
            ]
            return np.concatenate(list(_computed(tasks, helper)))

    def warm_up(self) -> None:
        """Build the graph that most windows use, and compute it once."""
        frames = 2 * self.context + 1
        norms = np.ones((1, self._coefficients.channels, 1), np.float32)
        silence = Window(
            np.zeros((1, _FEATURES, 2 * frames), np.float32),
            np.zeros((1, _SPECTRA, _HOPS * frames + 1), np.float32),
            norms,
            norms,
            before=self.context,
            after=self.context,
        )
        self.generate(silence, Stop())

    def close(self) -> None:
        """See ``Generator.close``."""
        self._cores.close()

    def _piece(self, window: Window, coefficients: Array, first: int, end: int, stop: Stop) -> Samples:
        """Samples of frames [first, end) of the window. Raises Stopped."""
        if stop.is_set:
            raise Stopped
        frames = window.features.shape[2] // 2
        # Nearer to an end than the context is wide, the graph of the true end computes what lies between.
        begin = 0 if first < self.context else first - self.context
        until = frames if frames - end < self.context else end + self.context
        has_context = begin == first - self.context
        made = (
            self._model(has_context, until == end + self.context)
            .run(
                {
                    "features": window.features[0, :, 2 * begin : 2 * until].T,
                    "spectra": window.spectra[0, :, _HOPS * begin : _HOPS * until + 1].T,
                    "coefficients": coefficients,
                }
            )["audio"]
            .ravel()
        )
        skipped = 0 if has_context else FRAME_SAMPLES * (first - begin)
        return made[skipped : skipped + FRAME_SAMPLES * (end - first)]

    def _built(self, context_before: bool, context_after: bool) -> Model:
        """Build the model of a window with context, or with a true end."""
        context = Missing(self.context * context_before, self.context * context_after)
        return Model(_Builder(self._weights).generator(context))


def _computed(tasks: list[Callable[[], Samples]], helper: ThreadPoolExecutor | None) -> Iterator[Samples]:
    """Results of the tasks in order; the helper takes every second one."""
    shared = [SharedTask(task, helper if place % 2 else None) for place, task in enumerate(tasks)]
    for task in shared:
        yield task.result()


class _Coefficients:
    """Factors and summands of all snakes, folded with the norms and the quantisation.

    With v = scale · x + shift, the level of snake(v) is per_step · (v + (1 − cos 2αv) / 2α) + zero.
    """

    def __init__(self, packed: PackedWeights) -> None:
        names = [name.removesuffix(".norm") for name in packed if name.endswith(".norm")]
        names.sort(key=lambda name: int(packed[f"{name}.norm"].item()))

        def joined(kind: str) -> Array:
            return np.concatenate([np.array(packed[f"{name}.{kind}"], np.float32) for name in names])

        self._double_alpha = 2 * joined("alpha")
        self.channels = len(self._double_alpha)
        """Channels of all norms."""
        self._per_step = joined("per_step") * LEVEL
        self._offset = joined("zero") * LEVEL + self._per_step / self._double_alpha

    def of(self, scale: Array, shift: Array) -> Array:
        """Row [1, 4 C] of an utterance's norms [C]: of the cosine's angle, then of the linear part."""
        return np.concatenate(
            (
                self._double_alpha * scale,
                self._double_alpha * shift,
                self._per_step * scale,
                self._per_step * shift + self._offset,
            ),
            dtype=np.float32,
        )[np.newaxis]


class _Builder:
    """Builds the graph of one kind of window."""

    def __init__(self, packed: PackedWeights) -> None:
        self._packed = packed
        self._graph = Graph()
        self._norms = sum(len(packed[f"{name[:-5]}.alpha"]) for name in packed if name.endswith(".norm"))

    def generator(self, context: Missing) -> bytes:
        """Build the model: the samples of all frames but the context, ``_HOP`` a row."""
        graph = self._graph
        features, spectra = graph.input("features", _FEATURES), graph.input("spectra", _SPECTRA)
        self._given = graph.input("coefficients", 4 * self._norms, rows=1)
        wanted = Missing(_HOPS * context.before, _HOPS * context.after).widened(1)
        reach = self._array("conv_post.weight").shape[2] // 2
        after_second = wanted.widened(reach)
        into_second = after_second.widened(self._block_reach("resblocks.3", "resblocks.4", "resblocks.5"))
        # Row 0 of the second stage is its row 2, mirrored: the upsampled rows are counted from row 1.
        upsampled = Missing(max(into_second.before - 1, 0), into_second.after)
        after_first = self._input_rows("ups.1", 6, upsampled)
        into_first = after_first.widened(self._block_reach("resblocks.0", "resblocks.1", "resblocks.2"))
        given = self._input_rows("ups.0", 10, into_first)

        values = graph.leaky(graph.rows(features, given.before, dropped=given.after), _LEAK)
        values = self._upsample(values, "ups.0", 10, given, into_first)
        values = graph.add(values, self._source("noise_convs.0", "noise_res.0", spectra, 6, into_first))
        values = self._mean(values, range(3), into_first, after_first)
        values = self._upsample(graph.leaky(values, _LEAK), "ups.1", 6, after_first, upsampled)
        if into_second.before == 0:
            values = graph.stack(graph.rows(values, 1, first=1), values)
        values = graph.add(values, self._source("noise_convs.1", "noise_res.1", spectra, 1, into_second))
        values = self._mean(values, range(3, 6), into_second, after_second)
        values = self._padded(
            graph.leaky(values, _LAST_LEAK), after_second, wanted, reach, np.zeros(graph.channels(values))
        )
        made = graph.convolve_exactly(values, self._array("conv_post.weight"), self._array("conv_post.bias"))
        return graph.finish(audio=self._inverse_transform(made, wanted))

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

    def _input_rows(self, name: str, stride: int, wanted: Missing) -> Missing:
        """Input rows of an upsampling that the wanted output rows depend on."""
        cut = stride // 2
        first = (wanted.before + cut) // stride
        last = (cut - 1 - wanted.after) // stride  # counted from the input's end, where −1 is the last row
        return Missing(max(first - 1, 0), max(-(last + 1), 0))

    def _upsample(self, values: Tensor, name: str, stride: int, have: Missing, wanted: Missing) -> Tensor:
        """Transposed convolution of 2 · stride taps, as one of two taps that makes ``stride`` rows a step."""
        graph, cut = self._graph, stride // 2
        zero = self._array(f"{name}.zero")
        first = (wanted.before + cut) // stride
        last = (cut - 1 - wanted.after) // stride
        values = graph.multiply(values, graph.constant(self._array(f"{name}.per_step") * LEVEL))
        values = graph.add_clipped(values, graph.constant(zero * LEVEL))
        values = self._extended(values, have.before - first + 1, last + 1 + have.after, zero)
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

    def _extended(self, values: Tensor, before: int, after: int, zero: npt.NDArray[np.floating]) -> Tensor:
        """Add rows of zeros, which are levels of ``zero``, at both ends."""
        row = np.floor(np.clip(zero, 0, 255)).astype(np.float32) * LEVEL
        parts = [values]
        if before:
            parts.insert(0, self._graph.constant(np.tile(row, (before, 1))))
        if after:
            parts.append(self._graph.constant(np.tile(row, (after, 1))))
        return self._graph.stack(*parts) if len(parts) > 1 else values

    def _inverse_transform(self, spectrum: Tensor, have: Missing) -> Tensor:
        """Inverse STFT of log magnitudes and of values of which the sine is the phase.

        Windows of four hops overlap, which is a convolution of four taps. Its sums do not depend on where a
        window begins, as those of NumPy's matrix product do.
        """
        graph = self._graph
        magnitude = graph.exponential(graph.select(spectrum, 0, _BINS))
        phase = graph.sine(graph.select(spectrum, _BINS, _BINS))
        values = graph.beside(
            graph.multiply(magnitude, graph.cosine(phase)), graph.multiply(magnitude, graph.sine(phase))
        )
        # The utterance's first and last samples have one window less.
        values = self._extended(values, not have.before, not have.after, np.zeros(2 * _BINS))
        basis = np.array(self._packed["basis"], np.float32).reshape(2 * _BINS, -1, _HOP)
        weight = basis[:, ::-1].transpose(2, 0, 1)
        return graph.convolve_exactly(values, weight, np.zeros(_HOP, np.float32))

    def _padded(
        self, values: Tensor, have: Missing, wanted: Missing, reach: int, zero: npt.NDArray[np.floating]
    ) -> Tensor:
        """Rows that a convolution needs for the wanted rows; those outside of the utterance are zeros."""
        before, after = wanted.before - reach - have.before, wanted.after - reach - have.after
        values = self._graph.rows(values, max(before, 0), dropped=max(after, 0))
        return self._extended(values, max(-before, 0), max(-after, 0), zero)

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
        clipped = self._padded(clipped, have, wanted, (taps - 1) // 2 * dilation, self._array(f"{name}.zero"))
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
            kept = self._graph.rows(values, out.before - have.before, dropped=out.after - have.after)
            values, have = self._graph.add(kept, made), out
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
