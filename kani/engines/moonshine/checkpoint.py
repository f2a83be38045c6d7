"""Reads a checkpoint of Moonshine's streaming recognisers: transformers' files, from a folder.

Only JSON and safetensors files are read: no pickle, and no code from a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
from torch import Tensor
from torch.nn import functional

from kani.runtime.checkpoint import open_weights, read_json, verify, weight_files
from kani.runtime.errors import CheckpointError
from kani.runtime.linear import Int8

_MODEL_TYPE = "moonshine_streaming"
SAMPLE_RATE = 16_000
FRAME_SAMPLES = 80
"""Samples of an input frame, 5 ms; the encoder returns one row for four of them."""

ROW_S = 0.02
"""Seconds of an encoder's row."""

MIN_ROWS = 1000
"""Fewest rows that a checkpoint must have positions for: 20 s, more than is heard at once."""

_MOST = 65_536
_MOST_LAYERS = 64


@dataclass(frozen=True, slots=True)
class EncoderSizes:
    """Sizes of the encoder."""

    width: int
    inner: int
    heads: int
    head_width: int
    windows: tuple[tuple[int, int], ...]
    """Of each layer the rows that a row attends to: up to and with itself, and ahead."""
    bias: bool


@dataclass(frozen=True, slots=True)
class DecoderSizes:
    """Sizes of the decoder, and its special tokens."""

    width: int
    inner: int
    layers: int
    heads: int
    head_width: int
    rotated: int
    """Channels of a head that are rotated by their position; of an odd number, one more."""
    rotary_base: float
    vocabulary: int
    positions: int
    """Rows of the encoder that it has positions for."""
    bias: bool
    tied: bool
    """True if the embedding is the output's matrix as well."""
    first: int
    ends: frozenset[int]


class Config:
    """Entries of config.json, read with their limits. Errors name the entry."""

    def __init__(self, entries: Mapping[str, Any], place: str) -> None:
        """place: the file, and the object in it, for errors."""
        self._entries = entries
        self._place = place

    def number(self, key: str, default: int | None = None, *, least: int = 1, most: int = _MOST) -> int:
        """Return a whole number. Raises CheckpointError."""
        value = self._entries.get(key)
        value = default if value is None else value
        if type(value) is not int or not least <= value <= most:
            raise self._error(key, value, f"a whole number from {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        """Return a truth value, False if there is none. Raises CheckpointError."""
        value = self._entries.get(key, False)
        if not isinstance(value, bool):
            raise self._error(key, value, "true or false")
        return value

    def check(self, key: str, *allowed: object) -> None:
        """Raise CheckpointError unless the entry has one of the values; the first one is the default."""
        value = self._entries.get(key, allowed[0])
        if value not in allowed:
            raise self._error(key, value, " or ".join(map(repr, allowed)))

    def heads(self, width: int) -> tuple[int, int]:
        """Return the heads of the attention, and the width of one."""
        heads = self.number("num_attention_heads", most=256)
        # transformers' decoder knows no shared heads either.
        self.check("num_key_value_heads", heads, None)
        return heads, self.number("head_dim", width // heads or None)

    def windows(self, layers: int) -> tuple[tuple[int, int], ...]:
        """Return the windows of the encoder's layers, see ``EncoderSizes``."""
        value = self._entries.get("sliding_windows")
        whole = isinstance(value, list) and len(value) == layers and all(map(_is_window, value))
        if not whole:
            raise self._error("sliding_windows", value, f"{layers} pairs [1 to {_MOST}, 0 to {_MOST}]")
        # transformers counts one row ahead less than the entry says.
        return tuple((left, max(right - 1, 0)) for left, right in value or ())

    def rotary(self, head_width: int) -> tuple[int, float]:
        """Return the rotated channels of a head, and the base of their frequencies."""
        value = self._entries.get("rope_parameters") or {}
        if not isinstance(value, dict):
            raise self._error("rope_parameters", value, "an object")
        Config(value, f"{self._place}: rope_parameters").check("rope_type", "default")
        base, share = value.get("rope_theta", 10_000.0), value.get("partial_rotary_factor", 0.8)
        for key, found, most in (("rope_theta", base, 1e9), ("partial_rotary_factor", share, 1)):
            if not isinstance(found, int | float) or isinstance(found, bool) or not 0 < found <= most:
                raise self._error(f"rope_parameters: {key}", found, f"a number above 0, at most {most:g}")
        rotated = int(head_width * share)
        if rotated + rotated % 2 > head_width:
            raise self._error("rope_parameters: partial_rotary_factor", share, "less, as pairs are rotated")
        return rotated, float(base)

    def ends(self, vocabulary: int) -> frozenset[int]:
        """Return the tokens that end an answer."""
        value = self._entries.get("eos_token_id", 2)
        ends = value if isinstance(value, list) else [value]
        if not ends or not all(type(end) is int and 0 <= end < vocabulary for end in ends):
            raise self._error("eos_token_id", value, f"tokens from 0 to {vocabulary - 1}")
        return frozenset(ends)

    def inner(self, key: str) -> Config:
        """Return an object in this one."""
        value = self._entries.get(key)
        if not isinstance(value, dict):
            raise self._error(key, value, "an object")
        return Config(value, f"{self._place}: {key}")

    def _error(self, key: str, value: object, needed: str) -> CheckpointError:
        return CheckpointError(f"{self._place}: {key} is {value!r}; it has to be {needed}")


def _is_window(pair: object) -> bool:
    if not isinstance(pair, list) or len(pair) != 2 or any(type(each) is not int for each in pair):
        return False
    return bool(1 <= pair[0] <= _MOST and 0 <= pair[1] <= _MOST)


def read_sizes(folder: Path) -> tuple[EncoderSizes, DecoderSizes]:
    """Read config.json. Raises CheckpointError, naming the entry."""
    entries = read_json(folder / "config.json")
    if (found := entries.get("model_type")) != _MODEL_TYPE:
        raise CheckpointError(
            f"{folder.name}: config.json has the model_type {found!r}, not {_MODEL_TYPE!r}: only Moonshine's "
            "streaming checkpoints are read"
        )
    outer = Config(entries, f"{folder.name}: config.json")
    inner = outer.inner("encoder_config")
    inner.check("sample_rate", SAMPLE_RATE)
    inner.check("frame_ms", 1000 * FRAME_SAMPLES / SAMPLE_RATE)
    inner.check("hidden_act", "gelu")
    outer.check("hidden_act", "silu")
    width = inner.number("hidden_size")
    heads, head_width = inner.heads(width)
    encoder = EncoderSizes(
        width,
        inner.number("intermediate_size"),
        heads,
        head_width,
        inner.windows(inner.number("num_hidden_layers", most=_MOST_LAYERS)),
        inner.flag("attention_bias"),
    )
    width = outer.number("hidden_size")
    heads, head_width = outer.heads(width)
    vocabulary = outer.number("vocab_size", most=1_000_000)
    decoder = DecoderSizes(
        width,
        outer.number("intermediate_size"),
        outer.number("num_hidden_layers", most=_MOST_LAYERS),
        heads,
        head_width,
        *outer.rotary(head_width),
        vocabulary,
        outer.number("max_position_embeddings", least=MIN_ROWS),
        outer.flag("attention_bias"),
        outer.flag("tie_word_embeddings"),
        outer.number(
            "decoder_start_token_id",
            outer.number("bos_token_id", 1, least=0, most=vocabulary - 1),
            least=0,
            most=vocabulary - 1,
        ),
        outer.ends(vocabulary),
    )
    return encoder, decoder


class Linear:
    """A matrix product with a bias: rows [..., inputs] → [..., outputs]."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, int8: bool = False) -> None:
        """weight: [outputs, inputs]; bias: [outputs]; int8: whether the weight is rounded to 8 bits."""
        self._int8 = Int8(weight) if int8 else None
        self._weight = weight if not int8 else weight[:0]
        self._bias = bias

    def __call__(self, rows: Tensor) -> Tensor:
        """Multiply ``rows``."""
        if self._int8 is None:
            return functional.linear(rows, self._weight, self._bias)
        product = self._int8(rows)
        return product if self._bias is None else product.add_(self._bias)


class Weights:
    """The tensors of a checkpoint, each checked for its shape when it is taken."""

    def __init__(self, tensors: Mapping[str, Tensor], precision: torch.dtype) -> None:
        """precision: float32, float64, or int8 for the matrices of the layers and float32 for the rest."""
        self._tensors = tensors
        self._int8 = precision == torch.int8
        self.dtype = torch.float32 if self._int8 else precision

    @classmethod
    def of_folder(cls, folder: Path, precision: torch.dtype) -> Weights:
        """Read the safetensors files, those of a hub's cache verified. Raises CheckpointError."""
        tensors: dict[str, Tensor] = {}
        for path in weight_files(folder):
            verify(path)
            with open_weights(path) as opened:
                for key in opened.keys():  # noqa: SIM118 (safetensors' file is no mapping)
                    tensors[key] = opened.get_tensor(key)
        return cls(tensors, precision)

    def take(self, key: str, *shape: int) -> Tensor:
        """Return a tensor of this shape. Raises CheckpointError."""
        found = self._tensors.get(key)
        if found is None:
            raise CheckpointError(f"{key} is missing; fetch the checkpoint again")
        if tuple(found.shape) != shape:
            raise CheckpointError(f"{key} has the shape {list(found.shape)}; it has to be {list(shape)}")
        return found.to(self.dtype)

    def linear(self, keys: list[str], outputs: int, inputs: int, *, bias: bool) -> Linear:
        """Return the product of one matrix, or of several of one shape, one below the other."""
        weight = torch.cat([self.take(f"{key}.weight", outputs, inputs) for key in keys])
        offset = torch.cat([self.take(f"{key}.bias", outputs) for key in keys]) if bias else None
        return Linear(weight, offset, int8=self._int8)


def read_tokenizer(folder: Path) -> tokenizers.Tokenizer:
    """Read tokenizer.json. Raises CheckpointError."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise CheckpointError(f"{folder.name} has no tokenizer.json")
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise CheckpointError(f"the tokenizer of {folder.name} cannot be read: {error}") from error
