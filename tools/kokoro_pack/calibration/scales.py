"""Scales of the int8 convolutions, found from the inputs that they have in float32.

A convolution's scales are those of a small grid: those with the least squared error on pieces of all
sentences, its weights rounded too:

    range   of each channel: of all its inputs, or the one with the least squared error, or between
    steps   by channel ∝ range^a / weight^(1 − a), the largest weight's of the channel (Xiao et al. 2023,
            SmoothQuant): at a = 1 each channel uses all levels, and the weights' ranges differ most
    size    of all steps: to fit the widest range, or smaller, which clips it

Weights are rounded as for processors without VNNI, the harder case. Takes about a minute on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.network.parts import Window
from tools.kokoro_pack.calibration.float_generator import FloatGenerator, convolve_float
from tools.kokoro_pack.packing.generator import Scale, Scales, as_two_tap_weight
from tools.kokoro_pack.packing.layers import Convolution, Layers, Upsampling, residual_blocks
from tools.kokoro_pack.packing.weights import quantise_weight

PIECES = 4
_ROWS = 48
"""Pieces of each sentence, and output rows of a convolution for each piece."""

_CLIPS = (0.0, 0.5, 1.0)
_EXPONENTS = (0.4, 0.55, 0.7, 0.85, 1.0)
_SIZES = (1.0, 0.8)
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_LEVELS = 255
_TINY = np.float32(1e-6)


class NotCalibrated(ValueError):
    """No scales were found; the message is the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """Minimum and maximum of each channel [C]; zero is always inside."""

    low: Array
    high: Array

    @property
    def width(self) -> Array:
        """Width of the range, never zero."""
        return np.asarray(np.maximum(self.high - self.low, _TINY))

    def scaled(self, low: Array | np.float32, high: Array | np.float32) -> Range:
        return Range(self.low * low, self.high * high)


class InputRecorder:
    """A ``Convolve`` that records the inputs of convolutions."""

    def __init__(self, names: Sequence[str], pieces: int = PIECES) -> None:
        """names: of the convolutions to record; pieces: of each sentence."""
        self.pieces: dict[str, list[Array]] = {name: [] for name in names}
        self.ranges: dict[str, Range] = {}
        self._each = pieces

    def __call__(self, layer: Convolution | Upsampling, values: Array) -> Array:
        if layer.name in self.pieces:
            self._note(layer, values)
        return convolve_float(layer, values)

    def _note(self, layer: Convolution | Upsampling, values: Array) -> None:
        reach = 1 if isinstance(layer, Upsampling) else layer.dilation * (layer.weight.shape[2] - 1)
        rows = _ROWS + reach
        if values.shape[1] < rows:
            raise NotCalibrated(
                f"a sentence of {values.shape[1]} rows is too short to calibrate {layer.name}"
            )
        for piece in range(self._each):
            first = (values.shape[1] - rows) * (2 * piece + 1) // (2 * self._each)
            self.pieces[layer.name].append(values[:, first : first + rows].copy())
        low, high = np.minimum(values.min(axis=1), 0), np.maximum(values.max(axis=1), 0)
        known = self.ranges.get(layer.name, Range(low, high))
        self.ranges[layer.name] = Range(np.minimum(low, known.low), np.maximum(high, known.high))


@dataclass(frozen=True, slots=True, eq=False)
class RoundedConvolution:
    """A convolution computed in int8: weight [outputs, inputs, taps]."""

    name: str
    weight: Array
    dilation: int

    def made(self, values: Array, weight: Array) -> Array:
        """Convolve pieces [n, inputs, rows] without bias and padding: [outputs, n · rows']."""
        outputs, inputs, taps = weight.shape
        rows = values.shape[2] - self.dilation * (taps - 1)
        # One product of two matrices: several times faster than one for each tap and piece.
        columns = np.empty((inputs, taps, len(values), rows), np.float32)
        for tap in range(taps):
            first = tap * self.dilation
            columns[:, tap] = values[:, :, first : first + rows].transpose(1, 0, 2)
        return weight.reshape(outputs, -1) @ columns.reshape(inputs * taps, -1)

    def by(self, scale: Scale) -> Array:
        """Return the weight after the rounding of ``packing.generator``."""
        levels, unit = quantise_weight(self.weight * scale.step[:, None])
        return np.asarray(levels * unit[:, None, None] / scale.step[:, None], np.float32)


def convolutions(layers: Layers) -> Iterator[RoundedConvolution]:
    """Yield the convolutions that are computed in int8."""
    for stage in layers.stages:
        yield RoundedConvolution(stage.upsampling.name, as_two_tap_weight(stage.upsampling), 1)
    for block in residual_blocks(layers):
        for step in (step for pair in block.pairs for step in pair):
            yield RoundedConvolution(
                step.convolution.name, step.convolution.weight, step.convolution.dilation
            )


def fake_quantised(values: Array, scale: Scale) -> Array:
    """Quantise and dequantise values [..., C, T]."""
    step, zero = (array.astype(np.float32)[:, np.newaxis] for array in scale)
    levels = np.floor(values / step + zero + np.float32(0.5)).clip(0, _LEVELS)
    return np.asarray((levels - zero) * step)


def scale_of(range_: Range, step: Array) -> Scale:
    """Return the scale that centres the range in the levels; what does not fit is clipped."""
    zero = (_LEVELS - (range_.low + range_.high) / step) / 2
    return Scale(step, np.rint(zero).clip(0, _LEVELS).astype(np.uint8))


def least_error(pieces: Array, widest: Range) -> Range:
    """Return the range of each channel of pieces [n, C, T] with the least rounding error."""

    def error(range_: Range) -> Array:
        scale = scale_of(range_, range_.width / np.float32(_LEVELS))
        return np.asarray(np.square(fake_quantised(pieces, scale) - pieces).mean(axis=(0, 2)))

    best, least = widest, error(widest)
    for high_end in (False, True, False, True):
        kept = best
        for share in map(np.float32, _SHARES):
            tried = Range(kept.low, widest.high * share) if high_end else Range(widest.low * share, kept.high)
            found = error(tried)
            better = found < least
            best = Range(np.where(better, tried.low, best.low), np.where(better, tried.high, best.high))
            least = np.minimum(found, least)
    return best


def best_scale(convolution: RoundedConvolution, pieces: Array, widest: Range) -> tuple[Scale, float]:
    """Return the best scale of the grid, and its squared error relative to the power of the output.

    pieces: of the input [n, C, T]; widest: range of all inputs of each channel. Raises NotCalibrated.
    """
    exact = convolution.made(pieces, convolution.weight)
    power = float(np.square(exact - exact.mean(axis=1, keepdims=True)).sum(dtype=np.float64))
    if not 0 < power < np.inf:
        raise NotCalibrated(f"{convolution.name} has no output that varies")
    tight = least_error(pieces, widest)
    ends = ((tight.low - _TINY) / (widest.low - _TINY), (tight.high + _TINY) / (widest.high + _TINY))
    largest = np.maximum(np.abs(convolution.weight).max(axis=(0, 2)), _TINY)
    best: tuple[Scale, float] | None = None
    for clip, exponent, size in product(*(map(np.float32, grid) for grid in (_CLIPS, _EXPONENTS, _SIZES))):
        range_ = widest.scaled(*(end**clip for end in ends))
        steps = range_.width**exponent * largest ** (exponent - 1)
        steps *= size * (range_.width / steps).max() / _LEVELS
        scale = scale_of(range_, steps)
        made = convolution.made(fake_quantised(pieces, scale), convolution.by(scale))
        error = float(np.square(made - exact).sum(dtype=np.float64)) / power
        if best is None or error < best[1]:
            best = scale, error
    assert best is not None
    return best


def find_scales(
    layers: Layers,
    sentences: Iterable[Window],
    *,
    pieces: int = PIECES,
    report: Callable[[str], None] = lambda line: None,
) -> Scales:
    """Find the scales of all int8 convolutions.

    sentences: the generator's inputs, computed in float32; pieces: to compare of each; report: receives a
    line for each convolution. Raises NotCalibrated.
    """
    chosen = list(convolutions(layers))
    inputs = InputRecorder([convolution.name for convolution in chosen], pieces)
    generator = FloatGenerator(layers, inputs)
    for sentence in sentences:
        if not np.isfinite(generator.audio(sentence)).all():
            raise NotCalibrated("the network gives no speech")
    scales = {}
    for convolution in chosen:
        recorded = np.stack(inputs.pieces.pop(convolution.name))
        scales[convolution.name], error = best_scale(convolution, recorded, inputs.ranges[convolution.name])
        report(f"{convolution.name}: error {10 * np.log10(error):.1f} dB")
    return scales
