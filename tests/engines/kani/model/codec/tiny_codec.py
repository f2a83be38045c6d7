"""Random NanoCodec archives, tiny or of the published size, that NeMo itself can restore.

The same key gives the same weights; they are scaled so that random codes decode to something of a voice's
level, neither cut nor silent.
"""

import io
import math
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

FULL = {"up_sample_rates": [7, 7, 6, 3, 2], "base_channels": 864}
"""nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps: 31.48 M parameters."""
SMALL = {"up_sample_rates": [7, 7, 6, 3, 2], "base_channels": 64}
"""Frames of 80 ms, as the published ones, of next to no arithmetic."""
TINY = {"up_sample_rates": [3, 2, 2], "base_channels": 48}

_MODULES = "nemo.collections.tts.modules.audio_codec_modules."
_LOSSES = "nemo.collections.tts.losses.audio_codec_loss."


def config(sizes: Mapping[str, Any]) -> dict[str, Any]:
    """A model_config.yaml with these decoder sizes, complete enough for NeMo."""
    rates = sizes["up_sample_rates"]
    return {
        "target": "nemo.collections.tts.models.audio_codec.AudioCodecModel",
        "nemo_version": "3.0.0",
        "sample_rate": 22050,
        "samples_per_frame": math.prod(rates),
        "loss_resolutions": [[64, 16, 64]],
        "mel_loss_dims": [5],
        "commit_loss_scale": 0.0,
        "audio_encoder": {
            "_target_": _MODULES + "HiFiGANEncoder",
            "encoded_dim": 16,
            "base_channels": 2,
            "down_sample_rates": rates[::-1],
        },
        "vector_quantizer": {
            "_target_": _MODULES + "GroupFiniteScalarQuantizer",
            "num_groups": 4,
            "num_levels_per_group": [9, 8, 8, 7],
        },
        "audio_decoder": {
            "_target_": _MODULES + "CausalHiFiGANDecoder",
            "input_dim": 16,
            "activation": "half_snake",
            "output_activation": "clamp",
            "pad_mode": "zeros",
            "n_groups_equal_to_out_channels": True,
            **sizes,
        },
        "generator_loss": {"_target_": _LOSSES + "GeneratorSquaredLoss"},
        "discriminator_loss": {"_target_": _LOSSES + "DiscriminatorSquaredLoss"},
    }


def weights(settings: Mapping[str, Any], key: int) -> dict[str, torch.Tensor]:
    """A random state dict of the decoder, by NeMo's names."""
    decoder = settings["audio_decoder"]
    random = torch.Generator().manual_seed(key)
    state: dict[str, torch.Tensor] = {}

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    def conv(name: str, shape: tuple[int, int, int], outputs: int, gain: float) -> None:
        direction = normal(*shape)
        length = gain * torch.exp(0.3 * normal(shape[0], 1, 1))
        state[f"audio_decoder.{name}.conv.bias"] = 0.02 * normal(outputs)
        state[f"audio_decoder.{name}.conv.parametrizations.weight.original0"] = length
        state[f"audio_decoder.{name}.conv.parametrizations.weight.original1"] = direction

    def half_snake(name: str, channels: int) -> None:
        alpha = torch.exp(0.5 * normal(1, channels // 2, 1))
        state[f"audio_decoder.{name}.activation.snake_act.alpha"] = alpha

    channels = decoder["base_channels"]
    # A row of length g turns an input of level 1 into an output of level g, whatever its size.
    conv("pre_conv", (channels, decoder["input_dim"], 7), channels, 0.6)
    for i, rate in enumerate(decoder["up_sample_rates"]):
        half_snake(f"activations.{i}", channels)
        # Its rows run over the output's steps instead: √rate as long for the same level.
        conv(f"up_sample_conv_layers.{i}", (channels, 1, 2 * rate), channels // 2, 0.5 * math.sqrt(rate))
        channels //= 2
        for j, kernel in enumerate((3, 7, 11)):
            for k in range(3):
                block = f"res_layers.{i}.res_blocks.{j}.res_blocks.{k}"
                half_snake(f"{block}.input_activation", channels)
                conv(f"{block}.input_conv", (channels, channels, kernel), channels, 1.0)
                half_snake(f"{block}.skip_activation", channels)
                conv(f"{block}.skip_conv", (channels, channels, kernel), channels, 0.5)
    half_snake("post_activation", channels)
    conv("post_conv", (1, channels, 3), 1, 0.4)
    return state


def write(path: Path, sizes: Mapping[str, Any] = TINY, *, key: int = 0) -> None:
    settings = config(sizes)
    checkpoint = io.BytesIO()
    torch.save(weights(settings, key), checkpoint)
    pack(path, {
        "model_config.yaml": yaml.safe_dump(settings).encode(),
        "model_weights.ckpt": checkpoint.getvalue(),
    })  # fmt: skip


def pack(path: Path, members: Mapping[str, bytes], mode: str = "w:", *, prefix: str = "./") -> None:
    """A tar file of these members, named with ./ in front as NeMo does, or with another prefix."""
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
