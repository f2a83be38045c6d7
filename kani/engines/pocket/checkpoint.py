"""Reads a checkpoint of Pocket TTS: its weights, tokenizer and voices, each checked before it is used.

Only JSON and safetensors files are read: no pickle, and no code from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer
from torch import Tensor

from kani.engines.pocket.transformer import HEAD_SIZE, layer_count
from kani.runtime.errors import CheckpointError
from kani.runtime.weights import matches_its_name

Shape = tuple[int, ...]

_LATENT = "flow_lm.input_linear.weight"
_FLOW = "flow_lm.flow_net"


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the weights of one language as float32. Raises CheckpointError for the first thing that is wrong.

    The names and shapes must be exactly those of Pocket TTS with as many layers, heads and channels as the
    file has; every number must be finite.
    """
    _check_content(path)
    with _opened(path) as opened:
        shapes = {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
        check_shapes(path, shapes)
        weights = {key: opened.get_tensor(key).float() for key in shapes}
    for key, values in weights.items():
        if not torch.isfinite(values).all():
            raise CheckpointError(f"{path}: {key} has numbers that are not finite; fetch the file again")
    return weights


def read_tokenizer(path: Path, tokens: int) -> Tokenizer:
    """Read a tokenizer of ``tokens`` tokens. Raises CheckpointError."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise CheckpointError(f"{path} is not a tokenizer: {error}") from error
    if tokenizer.get_vocab_size() != tokens:
        raise CheckpointError(
            f"{path} has {tokenizer.get_vocab_size()} tokens, the weights {tokens}: take both of one revision"
        )
    return tokenizer


def read_voice(path: Path, layers: int, size: int) -> tuple[list[Tensor], int]:
    """Read a published voice: keys and values [2, 1, positions, heads, head size] of each layer.

    Returns them with the number of positions that are filled. Raises CheckpointError.
    """
    _check_content(path)
    found = []
    length = 0
    with _opened(path) as opened:
        names = set(opened.keys())
        for index in range(layers):
            prefix = f"transformer.layers.{index}.self_attn"
            if f"{prefix}/cache" not in names:
                raise CheckpointError(f"{path} is not a voice of this model: {prefix}/cache is missing")
            values = opened.get_tensor(f"{prefix}/cache").float()
            if values.dim() != 5 or values.shape[:2] != (2, 1) or values[0, 0, 0].numel() != size:
                raise CheckpointError(f"{path}: {prefix}/cache has the shape {list(values.shape)}")
            if f"{prefix}/offset" in names:
                length = int(opened.get_tensor(f"{prefix}/offset").flatten()[0])
            elif f"{prefix}/current_end" in names:
                length = opened.get_slice(f"{prefix}/current_end").get_shape()[0]
            else:
                length = values.shape[2]
            if not 0 < length <= values.shape[2] or not torch.isfinite(values[:, :, :length]).all():
                raise CheckpointError(f"{path}: {prefix}/cache holds no voice of {length} positions")
            found.append(values)
    return found, length


def check_shapes(path: Path, found: Mapping[str, Shape]) -> None:
    """Compare every name and shape with those of Pocket TTS. Raises CheckpointError for the first."""
    expected = _expected(path, found)
    for key, shape in expected.items():
        if key not in found:
            raise CheckpointError(f"{path}: {key} is missing; its shape has to be {list(shape)}")
        if found[key] != shape:
            raise CheckpointError(f"{path}: {key} has the shape {list(found[key])}, not {list(shape)}")
    if extra := sorted(found.keys() - expected.keys()):
        raise CheckpointError(
            f"{path}: {extra[0]} {list(found[extra[0]])} is not part of this model; variants with fewer "
            "heads for keys, a low-rank vocabulary or another flow head are not supported"
        )


def _expected(path: Path, found: Mapping[str, Shape]) -> dict[str, Shape]:
    size, latent = _two(path, found, _LATENT)
    tokens = _two(path, found, "flow_lm.conditioner.embed.weight")[0]
    flow = _two(path, found, f"{_FLOW}.cond_embed.weight")[0]
    times = _two(path, found, f"{_FLOW}.time_embed.0.mlp.0.weight")[1]
    shapes: dict[str, Shape] = {
        "flow_lm.bos_emb": (latent,),
        "flow_lm.bos_before_voice": (1, 1, size),
        "flow_lm.speaker_proj_weight": (size, latent),
        "flow_lm.emb_std": (latent,),
        "flow_lm.emb_mean": (latent,),
        "flow_lm.conditioner.embed.weight": (tokens, size),
        _LATENT: (size, latent),
        **_with_bias("flow_lm.out_norm", (size,)),
        **_with_bias("flow_lm.out_eos", (1, size)),
        **_with_bias(f"{_FLOW}.cond_embed", (flow, size)),
        **_with_bias(f"{_FLOW}.input_proj", (flow, latent)),
        **_with_bias(f"{_FLOW}.final_layer.linear", (latent, flow)),
        **_with_bias(f"{_FLOW}.final_layer.adaLN_modulation.1", (2 * flow, flow)),
    }
    for index in range(2):
        name = f"{_FLOW}.time_embed.{index}"
        shapes |= {f"{name}.freqs": (times // 2,), f"{name}.mlp.3.alpha": (flow,)}
        shapes |= _with_bias(f"{name}.mlp.0", (flow, times)) | _with_bias(f"{name}.mlp.2", (flow, flow))
    index = 0
    while index == 0 or f"{_FLOW}.res_blocks.{index}.in_ln.weight" in found:
        name = f"{_FLOW}.res_blocks.{index}"
        shapes |= _with_bias(f"{name}.in_ln", (flow,)) | _with_bias(f"{name}.mlp.0", (flow, flow))
        shapes |= _with_bias(f"{name}.mlp.2", (flow, flow))
        shapes |= _with_bias(f"{name}.adaLN_modulation.1", (3 * flow, flow))
        index += 1
    shapes |= _transformer(path, found, "flow_lm.transformer", size, scaled=False)
    return shapes | _codec(path, found, latent)


def _codec(path: Path, found: Mapping[str, Shape], latent: int) -> dict[str, Shape]:
    size, _, kernel = _many(path, found, "mimi.upsample.convtr.convtr.weight", 3)
    filters, _, first = _many(path, found, "mimi.encoder.model.0.conv.weight", 3)
    residual = _many(path, found, "mimi.decoder.model.3.block.1.conv.weight", 3)[2]
    last = _many(path, found, "mimi.decoder.model.11.conv.weight", 3)[2]
    kernels = [_many(path, found, f"mimi.decoder.model.{n}.convtr.weight", 3)[2] for n in (2, 5, 8)]
    shapes: dict[str, Shape] = {
        "mimi.quantizer.output_proj.weight": (size, latent, 1),
        "mimi.downsample.conv.conv.weight": (latent, size, kernel),
        "mimi.upsample.convtr.convtr.weight": (size, 1, kernel),
        **_with_bias("mimi.encoder.model.0.conv", (filters, 1, first)),
        **_with_bias("mimi.encoder.model.11.conv", (size, 8 * filters, last)),
        **_with_bias("mimi.decoder.model.0.conv", (8 * filters, size, first)),
        **_with_bias("mimi.decoder.model.11.conv", (1, filters, last)),
    }

    def block(name: str, width: int) -> dict[str, Shape]:
        return _with_bias(f"{name}.block.1.conv", (width // 2, width, residual)) | _with_bias(
            f"{name}.block.3.conv", (width, width // 2, 1)
        )

    for index, width in enumerate((1, 2, 4)):
        wide = width * filters
        shapes |= block(f"mimi.encoder.model.{3 * index + 1}", wide)
        shapes |= _with_bias(f"mimi.encoder.model.{3 * index + 3}.conv", (2 * wide, wide, kernels[2 - index]))
        wide = (4 // width) * filters
        name = f"mimi.decoder.model.{3 * index + 2}.convtr"
        shapes |= {f"{name}.weight": (2 * wide, wide, kernels[index]), f"{name}.bias": (wide,)}
        shapes |= block(f"mimi.decoder.model.{3 * index + 3}", wide)
    for half in ("encoder", "decoder"):
        shapes |= _transformer(path, found, f"mimi.{half}_transformer.transformer", size, scaled=True)
    return shapes


def _transformer(
    path: Path, found: Mapping[str, Shape], prefix: str, size: int, *, scaled: bool
) -> dict[str, Shape]:
    if size % HEAD_SIZE:
        raise CheckpointError(f"{path}: {prefix} is {size} wide, not a multiple of {HEAD_SIZE}")
    wide = _two(path, found, f"{prefix}.layers.0.linear1.weight")[0]
    shapes: dict[str, Shape] = {}
    for index in range(layer_count(found, prefix)):
        name = f"{prefix}.layers.{index}"
        shapes |= {
            f"{name}.self_attn.in_proj.weight": (3 * size, size),
            f"{name}.self_attn.out_proj.weight": (size, size),
            **_with_bias(f"{name}.norm1", (size,)),
            **_with_bias(f"{name}.norm2", (size,)),
            f"{name}.linear1.weight": (wide, size),
            f"{name}.linear2.weight": (size, wide),
        }
        if scaled:
            shapes |= {f"{name}.layer_scale_{part}.scale": (size,) for part in (1, 2)}
    return shapes


def _with_bias(name: str, shape: Shape) -> dict[str, Shape]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _two(path: Path, found: Mapping[str, Shape], key: str) -> Shape:
    return _many(path, found, key, 2)


def _many(path: Path, found: Mapping[str, Shape], key: str, dimensions: int) -> Shape:
    """The shape of a tensor that every checkpoint of Pocket TTS has. Raises CheckpointError."""
    shape = found.get(key, ())
    if len(shape) != dimensions or not all(shape):
        raise CheckpointError(f"{path} is not a checkpoint of Pocket TTS: {key} is missing or misshapen")
    return shape


def _check_content(path: Path) -> None:
    """Compare a fetched file with its SHA-256, its name in the hub's cache."""
    try:
        intact = matches_its_name(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error
    if not intact:
        raise CheckpointError(f"{path} fails its SHA-256: remove it and fetch it again by --fetch")


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}): remove it and fetch it again by --fetch"
        ) from error
