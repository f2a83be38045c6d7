"""Reads a ``.nemo`` archive, its sizes too, as untrusted input, and builds NanoCodec's layers of it.

NeMo saves a model as a tar file, plain or gzipped, with ``model_config.yaml`` and ``model_weights.ckpt`` at
its root, each sometimes named with a leading ``./``. Only these two are read, both in memory, and nothing is
ever written under a name from the archive.
"""

from __future__ import annotations

import math
import pickle
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
import yaml  # type: ignore[import-untyped]
from torch import Tensor

from kani.engines.kani.model.codec.layers import (
    CausalConv,
    Decoder,
    HalfSnake,
    ResidualBlock,
    Stage,
    UpSample,
)
from kani.runtime.errors import CheckpointError

CONFIG_NAME = "model_config.yaml"
WEIGHTS_NAME = "model_weights.ckpt"
MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 2 << 30
MAX_MEMBERS = 256

# Errors of zipfile and torch for damaged files, names that are not UTF-8 among them.
_UNREADABLE = (
    *(zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, UnicodeError, LookupError, TypeError),
)


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


def read_nemo(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Read config and weights of the .nemo archive at ``path``, the weights on the CPU.

    Raises CheckpointError, with the file's name, where it is not such an archive; where one of the two
    members is missing, duplicated, too large or not a regular file; where the config is not a mapping; and
    where the weights hold anything but named tensors. OSError where the file cannot be read.
    """
    try:
        # The signature is checked here because tarfile's own detection would try every compression.
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with tarfile.open(path, "r:gz" if zipped else "r:") as archive:
            members = _named_members(archive, path)
            config = _config(_open(archive, members[CONFIG_NAME]), path)
            weights = _weights(_open(archive, members[WEIGHTS_NAME]), members[WEIGHTS_NAME].size, path)
    except (tarfile.TarError, EOFError) as error:
        raise CheckpointError(f"{path}: not a readable tar archive ({error})") from error
    return config, weights


def _named_members(archive: tarfile.TarFile, path: Path) -> dict[str, tarfile.TarInfo]:
    limits = {CONFIG_NAME: MAX_CONFIG_BYTES, WEIGHTS_NAME: MAX_WEIGHTS_BYTES}
    found: dict[str, tarfile.TarInfo] = {}
    unpacked = 0
    for count, member in enumerate(archive, start=1):
        # Skipping a member of a gzipped archive unpacks it, so unused members are limited too.
        unpacked += max(member.size, 0)
        if count > MAX_MEMBERS or unpacked > MAX_WEIGHTS_BYTES + MAX_CONFIG_BYTES:
            raise CheckpointError(
                f"{path}: more than {MAX_MEMBERS} members or {MAX_WEIGHTS_BYTES + MAX_CONFIG_BYTES} bytes"
            )
        name = member.name.removeprefix("./")
        if name not in limits:
            continue
        if name in found:
            raise CheckpointError(f"{path}: two members named {name}")
        if not member.isreg() or member.issparse():
            raise CheckpointError(f"{path}: {name} is not a regular file")
        if member.size > limits[name]:
            raise CheckpointError(f"{path}: {name} has {member.size} bytes, more than {limits[name]}")
        found[name] = member
    for name in limits:
        if name not in found:
            raise CheckpointError(f"{path}: no member named {name}")
    return found


def _open(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(member)
    assert stream is not None  # regular files have one
    return stream


def _config(stream: IO[bytes], path: Path) -> dict[str, Any]:
    try:
        config = yaml.safe_load(stream.read())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: {CONFIG_NAME} is not YAML ({error})") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: {CONFIG_NAME} holds no mapping")
    return config


def _weights(stream: IO[bytes], size: int, path: Path) -> dict[str, torch.Tensor]:
    """Read the state dict in torch's zip format; weights_only refuses every pickled call."""
    try:
        with zipfile.ZipFile(stream) as inner:
            entries = inner.infolist()
        # torch stores its records uncompressed: a compressed one could unpack to anything.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
            sum(entry.file_size for entry in entries) > size
        ):
            raise CheckpointError(f"{path}: {WEIGHTS_NAME} has compressed or overlapping records")
        stream.seek(0)
        weights = torch.load(stream, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        raise CheckpointError(f"{path}: {WEIGHTS_NAME} is not a file of tensors ({error})") from error
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"{path}: {WEIGHTS_NAME} holds no mapping of names to tensors")
    tensors = {}
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise CheckpointError(f"{path}: {WEIGHTS_NAME}: {name!r} is not a tensor")
        tensors[name] = value
    return tensors


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
