"""The sizes of a NanoCodec, read from the model_config.yaml in its .nemo archive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kani.runtime.errors import CheckpointError


@dataclass(frozen=True)
class NanoCodecConfig:
    sample_rate: int  # hertz
    samples_per_frame: int  # of audio
    codebooks: int  # codes of a frame
    levels: tuple[int, ...]  # of each dimension of a codebook
    rates: tuple[int, ...]  # up-sampling of each stage
    base_channels: int  # before the first stage, halved by each
    first_kernel: int
    last_kernel: int
    kernels: tuple[int, ...]  # of the residual blocks
    dilations: tuple[int, ...]  # of the residual blocks
    clamp: bool  # samples are clipped at ±1, not squeezed by tanh

    @property
    def codebook_size(self) -> int:
        return math.prod(self.levels)

    @property
    def frame_s(self) -> float:
        return self.samples_per_frame / self.sample_rate

    @classmethod
    def parse(cls, yaml: Mapping[str, Any]) -> NanoCodecConfig:
        """Parse a .nemo archive's config. Raises CheckpointError with the key that does not fit."""
        decoder = _section(yaml, "audio_decoder", "CausalHiFiGANDecoder")
        quantizer = _section(yaml, "vector_quantizer", "GroupFiniteScalarQuantizer")
        # The default of a missing key is that of NeMo's class.
        if decoder.get("activation", "lrelu") != "half_snake":
            raise CheckpointError(
                f"audio_decoder.activation is {decoder.get('activation')!r}, not half_snake"
            )
        if decoder.get("n_groups_equal_to_out_channels", True) is not True:
            raise CheckpointError("audio_decoder.n_groups_equal_to_out_channels is not true")
        output = decoder.get("output_activation", "tanh")
        if output not in ("tanh", "clamp"):
            raise CheckpointError(f"audio_decoder.output_activation is {output!r}, neither tanh nor clamp")
        config = cls(
            sample_rate=_whole(yaml, "sample_rate", where=""),
            samples_per_frame=_whole(yaml, "samples_per_frame", where=""),
            codebooks=_whole(quantizer, "num_groups", where="vector_quantizer."),
            levels=_wholes(quantizer, "num_levels_per_group", where="vector_quantizer."),
            rates=_wholes(decoder, "up_sample_rates", (8, 8, 2, 2)),
            base_channels=_whole(decoder, "base_channels", 512),
            first_kernel=_whole(decoder, "in_kernel_size", 7),
            last_kernel=_whole(decoder, "out_kernel_size", 3),
            kernels=_wholes(decoder, "resblock_kernel_sizes", (3, 7, 11)),
            dilations=_wholes(decoder, "resblock_dilation_sizes", (1, 3, 5)),
            clamp=output == "clamp",
        )
        if min(config.levels) < 2:
            raise CheckpointError(f"vector_quantizer.num_levels_per_group {config.levels}: below 2 levels")
        dimensions = config.codebooks * len(config.levels)
        if _whole(decoder, "input_dim") != dimensions:
            raise CheckpointError(
                f"audio_decoder.input_dim is {decoder['input_dim']}, but the quantizer has {dimensions}"
            )
        if math.prod(config.rates) != config.samples_per_frame:
            raise CheckpointError(
                f"audio_decoder.up_sample_rates multiply to {math.prod(config.rates)}, "
                f"not to samples_per_frame {config.samples_per_frame}"
            )
        if config.base_channels % 2 ** len(config.rates):
            raise CheckpointError(
                f"audio_decoder.base_channels {config.base_channels} cannot be halved {len(config.rates)}×"
            )
        return config


def _section(yaml: Mapping[str, Any], key: str, kind: str) -> Mapping[str, Any]:
    section = yaml.get(key)
    if not isinstance(section, Mapping):
        raise CheckpointError(f"{key} is missing or no mapping")
    if str(section.get("_target_", "")).rpartition(".")[2] != kind:
        raise CheckpointError(f"{key}._target_ is {section.get('_target_')!r}, not a {kind}")
    return section


def _whole(
    section: Mapping[str, Any], key: str, default: int | None = None, where: str = "audio_decoder."
) -> int:
    value = section.get(key, default)
    if type(value) is not int or not 0 < value < 1 << 20:
        raise CheckpointError(f"{where}{key} is {value!r}, not a whole number above 0")
    return value


def _wholes(
    section: Mapping[str, Any], key: str, default: tuple[int, ...] = (), where: str = "audio_decoder."
) -> tuple[int, ...]:
    values = section.get(key, default)
    if not isinstance(values, list | tuple) or not 0 < len(values) <= 16:
        raise CheckpointError(f"{where}{key} is {values!r}, not a list of whole numbers")
    return tuple(_whole({key: value}, key, where=where) for value in values)
