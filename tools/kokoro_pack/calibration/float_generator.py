"""A plain implementation of the generator in float32, for calibration and tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.network.parts import Window
from tools.kokoro_pack.packing.generator import as_two_tap_weight
from tools.kokoro_pack.packing.layers import (
    Convolution,
    Layers,
    ResidualBlock,
    Stage,
    Step,
    Upsampling,
)

Convolve = Callable[[Convolution | Upsampling, Array], Array]
"""Computes a layer: [inputs, T] → [outputs, T']."""


def convolve_float(layer: Convolution | Upsampling, values: Array) -> Array:
    if isinstance(layer, Upsampling):
        return _upsample(layer, values)
    padded = np.pad(values, ((0, 0), (layer.padding, layer.padding)))
    reach = layer.dilation * (layer.weight.shape[2] - 1)
    rows = (padded.shape[1] - reach - 1) // layer.stride + 1
    made = np.repeat(layer.bias[:, np.newaxis], rows, axis=1)
    for tap in range(layer.weight.shape[2]):
        first = tap * layer.dilation
        given = padded[:, first : first + layer.stride * (rows - 1) + 1 : layer.stride]
        made += layer.weight[:, :, tap] @ given
    return made


def _upsample(layer: Upsampling, values: Array) -> Array:
    weight = as_two_tap_weight(layer)
    padded = np.pad(values, ((0, 0), (1, 1)))
    made = weight[:, :, 0] @ padded[:, :-1] + weight[:, :, 1] @ padded[:, 1:]
    # Each column holds ``stride`` rows of all outputs, one after the other.
    rows = made.reshape(layer.stride, -1, made.shape[1]).transpose(1, 2, 0).reshape(len(layer.bias), -1)
    return np.asarray(rows[:, layer.padding : rows.shape[1] - layer.padding] + layer.bias[:, np.newaxis])


class FloatGenerator:
    """The generator, layer by layer; every convolution is computed by ``convolve``."""

    def __init__(self, layers: Layers, convolve: Convolve = convolve_float) -> None:
        self._layers = layers
        self._convolve = convolve

    def audio(self, window: Window) -> Array:
        """Return the samples of all frames of a window, its context included, 600 each."""
        scale, shift = window.scale[0], window.shift[0]
        values = window.features[0]
        for stage in self._layers.stages:
            values = self._stage(stage, values, window.spectra[0], scale, shift)
        values = _leaky(values, self._layers.slope)
        magnitude, phase = np.split(self._convolve(self._layers.last, values), 2)
        magnitude, phase = np.exp(magnitude), np.sin(phase)
        spectrum = np.concatenate([magnitude * np.cos(phase), magnitude * np.sin(phase)])
        return self._overlapped(self._layers.basis.T @ spectrum)

    def _overlapped(self, pieces: Array) -> Array:
        """Add pieces of samples [n, T], each ``hop`` samples after the one before."""
        hop, margin = self._layers.hop, self._layers.margin
        parts = pieces.reshape(-1, hop, pieces.shape[1])
        summed = np.zeros((pieces.shape[1] + len(parts) - 1, hop), np.float32)
        for place, part in enumerate(parts):
            summed[place : place + pieces.shape[1]] += part.T
        return summed.ravel()[margin : summed.size - margin]

    def _stage(self, stage: Stage, values: Array, spectra: Array, scale: Array, shift: Array) -> Array:
        values = self._convolve(stage.upsampling, _leaky(values, stage.slope))
        values = np.pad(values, ((0, 0), (stage.reflected, 0)), mode="reflect")
        source = self._block(stage.source_block, self._convolve(stage.source, spectra), scale, shift)
        values = values + source
        blocks = [self._block(block, values, scale, shift) for block in stage.blocks]
        return np.asarray(np.mean(blocks, axis=0))

    def _block(self, block: ResidualBlock, values: Array, scale: Array, shift: Array) -> Array:
        for first, second in block.pairs:
            values = values + self._step(second, self._step(first, values, scale, shift), scale, shift)
        return values

    def _step(self, step: Step, values: Array, scale: Array, shift: Array) -> Array:
        alpha = step.snake.alpha[:, np.newaxis]
        channels = slice(step.snake.norm, step.snake.norm + len(alpha))
        values = values * scale[channels] + shift[channels]
        return self._convolve(step.convolution, values + np.square(np.sin(alpha * values)) / alpha)


def _leaky(values: Array, slope: float) -> Array:
    return np.where(values > 0, values, np.float32(slope) * values)
