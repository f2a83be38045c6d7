"""A plain implementation of the generator in float32, for calibration and tests."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.kokoro.litert.packing.layers import (
    Convolution,
    Layers,
    ResidualBlock,
    Stage,
    Step,
    Upsampling,
)

Convolve = Callable[[Convolution | Upsampling, Tensor], Tensor]
"""Computes a layer: [1, inputs, T] → [1, outputs, T']."""


def convolve_float(layer: Convolution | Upsampling, values: Tensor) -> Tensor:
    """Compute a layer in float32."""
    weight, bias = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
    if isinstance(layer, Upsampling):
        return functional.conv_transpose1d(values, weight, bias, layer.stride, layer.padding)
    return functional.conv1d(values, weight, bias, layer.stride, layer.padding, layer.dilation)


class FloatGenerator:
    """The generator, layer by layer; every convolution is computed by ``convolve``."""

    def __init__(self, layers: Layers, convolve: Convolve = convolve_float) -> None:
        self._layers = layers
        self._convolve = convolve

    @torch.inference_mode()
    def audio(self, features: Tensor, spectra: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Samples [600 n] of n frames, context included; shapes as in ``decoder.Window``."""
        values = features
        for stage in self._layers.stages:
            values = self._stage(stage, values, spectra, scale, shift)
        values = functional.leaky_relu(values, self._layers.slope)
        magnitude, phase = self._convolve(self._layers.last, values).chunk(2, dim=1)
        magnitude, phase = magnitude.exp(), phase.sin()
        spectrum = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], dim=1)
        basis = torch.from_numpy(self._layers.basis)[:, None]
        return functional.conv_transpose1d(
            spectrum, basis, stride=self._layers.hop, padding=self._layers.margin
        ).ravel()

    def _stage(self, stage: Stage, values: Tensor, spectra: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        values = self._convolve(stage.upsampling, functional.leaky_relu(values, stage.slope))
        values = functional.pad(values, (stage.reflected, 0), mode="reflect")
        source = self._block(stage.source_block, self._convolve(stage.source, spectra), scale, shift)
        values = values + source
        blocks = [self._block(block, values, scale, shift) for block in stage.blocks]
        return torch.stack(blocks).mean(dim=0)

    def _block(self, block: ResidualBlock, values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        for first, second in block.pairs:
            values = values + self._step(second, self._step(first, values, scale, shift), scale, shift)
        return values

    def _step(self, step: Step, values: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        alpha = torch.from_numpy(step.snake.alpha)[:, None]
        channels = slice(step.snake.norm, step.snake.norm + len(alpha))
        values = values * scale[:, channels] + shift[:, channels]
        return self._convolve(step.convolution, values + torch.sin(alpha * values) ** 2 / alpha)
