"""Builds the decoder's layers from a NanoCodec checkpoint, with weight norm folded in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from kani.engines.kani.model.codec.config import NanoCodecConfig
from kani.engines.kani.model.codec.layers import (
    CausalConv,
    Decoder,
    HalfSnake,
    ResidualBlock,
    Stage,
    UpSample,
)
from kani.runtime.errors import CheckpointError


def build_decoder(config: NanoCodecConfig, weights: Mapping[str, Tensor]) -> Decoder:
    """Build the float32 decoder on the CPU from a config and a NeMo state dict.

    Keys that do not begin with ``audio_decoder.`` are ignored. Raises CheckpointError with the key and the
    shapes where a tensor is missing or does not fit.
    """
    read = _Reader(weights)
    channels = config.base_channels
    first = read.conv("pre_conv", channels, config.codebooks * len(config.levels), config.first_kernel)
    stages = []
    for i, rate in enumerate(config.rates):
        act = read.half_snake(f"activations.{i}", channels)
        up = UpSample(*read.normed(f"up_sample_conv_layers.{i}", (channels, 1, 2 * rate), channels // 2))
        channels //= 2
        branches = [
            [
                read.block(f"res_layers.{i}.res_blocks.{j}.res_blocks.{k}", channels, kernel, dilation)
                for k, dilation in enumerate(config.dilations)
            ]
            for j, kernel in enumerate(config.kernels)
        ]
        stages.append(Stage(act, up, branches))
    act = read.half_snake("post_activation", channels)
    last = read.conv("post_conv", 1, channels, config.last_kernel)
    return Decoder(first, stages, act, last, clamp=config.clamp)


class _Reader:
    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def tensor(self, name: str, shape: tuple[int, ...]) -> Tensor:
        key = f"audio_decoder.{name}"
        value = self._weights.get(key)
        if value is None:
            raise CheckpointError(f"{key} is missing")
        if tuple(value.shape) != shape or not value.is_floating_point():
            raise CheckpointError(
                f"{key} is {value.dtype} of shape {tuple(value.shape)}; floats of shape {shape} are needed"
            )
        return value.float()

    def normed(self, name: str, shape: tuple[int, ...], outputs: int) -> tuple[Tensor, Tensor]:
        """Weight and bias of a weight-normed convolution, by torch's new names, its old, or folded."""
        prefix = f"{name}.conv"
        bias = self.tensor(f"{prefix}.bias", (outputs,))
        if f"audio_decoder.{prefix}.weight" in self._weights:
            return self.tensor(f"{prefix}.weight", shape), bias
        old = f"audio_decoder.{prefix}.weight_v" in self._weights
        names = ("weight_g", "weight_v") if old else (f"parametrizations.weight.original{n}" for n in (0, 1))
        length, direction = (
            self.tensor(f"{prefix}.{part}", part_shape)
            for part, part_shape in zip(names, ((shape[0], 1, 1), shape), strict=True)
        )
        return direction * (length / torch.linalg.vector_norm(direction, dim=(1, 2), keepdim=True)), bias

    def conv(self, name: str, outputs: int, inputs: int, kernel: int, dilation: int = 1) -> CausalConv:
        return CausalConv(*self.normed(name, (outputs, inputs, kernel), outputs), dilation)

    def half_snake(self, name: str, channels: int) -> HalfSnake:
        return HalfSnake(self.tensor(f"{name}.activation.snake_act.alpha", (1, channels // 2, 1)))

    def block(self, name: str, channels: int, kernel: int, dilation: int) -> ResidualBlock:
        return ResidualBlock(
            self.half_snake(f"{name}.input_activation", channels),
            self.conv(f"{name}.input_conv", channels, channels, kernel, dilation),
            self.half_snake(f"{name}.skip_activation", channels),
            self.conv(f"{name}.skip_conv", channels, channels, kernel),
        )
