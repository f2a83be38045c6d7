"""Reads a Kani checkpoint from a folder: its config, tokenizer and weights.

Only JSON and safetensors files are read: no pickle, and no code from a checkpoint.
"""

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
import yaml  # type: ignore[import-untyped]
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.errors import CheckpointError
from kani.runtime.packages.checkpoint import read_json
from kani_text.foreign.files import read_regular

MAX_CARD = 1 << 16
"""Characters of a card that are read."""


Weights = Callable[[str], Tensor]
"""Reads a tensor of a checkpoint by its key: float32 on the CPU. Raises CheckpointError for a missing one."""


class Checkpoint:
    """An opened checkpoint: config, prompt layout and names at once, tokenizer and weights on demand."""

    def __init__(self, folder: Path) -> None:
        """Read the configs, not yet the tokenizer and the weights. Raises CheckpointError."""
        self.folder = folder
        settings = read_json(folder / "config.json")
        if settings.get("model_type") != "lfm2":
            raise CheckpointError(f"{folder.name}: model_type is {settings.get('model_type')!r}, not 'lfm2'")
        self.config = ModelConfig.parse(settings)
        self._audio_start = settings.get("audio_tokens_start")
        self._frame_tokens = settings.get("tokens_per_frame")
        self.speakers = _names(settings, "speaker_settings", "speaker_list")
        """Names of a multi-speaker checkpoint; a text that begins "NAME: " is spoken by that speaker."""
        self.language_tags = _names(settings, "language_settings", "language_tags_list")
        """Languages and accents ("en_us") of a checkpoint that needs them: a text begins "TAG: "."""
        self.card_languages = _card_languages(folder / "README.md")
        """Languages that the model's card tells; empty without a card."""
        generation = folder / "generation_config.json"
        top_k = read_json(generation).get("top_k") if generation.exists() else None
        if top_k is not None and (type(top_k) is not int or top_k < 0):
            raise CheckpointError(f"{generation.name}: top_k is {reprlib.repr(top_k)}, not a whole number")
        self.top_k: int = 50 if top_k is None else top_k
        """Default of transformers' ``generate``: the checkpoint's, else transformers' own 50; 0 is no limit.
        """

    def layout(self, *, codebooks: int, codebook_size: int) -> TokenLayout:
        """The token layout with a codec of ``codebooks`` codebooks. Raises CheckpointError."""
        if self._frame_tokens not in (None, codebooks):
            raise CheckpointError(
                f"tokens_per_frame is {reprlib.repr(self._frame_tokens)}: the codec has {codebooks} codebooks"
            )
        audio_start = self._audio_start
        size = self.config.vocabulary
        if audio_start is not None:
            if type(audio_start) is not int:
                raise CheckpointError(
                    f"audio_tokens_start is {reprlib.repr(audio_start)}, not a whole number"
                )
            size = audio_start + codebooks * codebook_size
            if size > self.config.vocabulary:
                raise CheckpointError(
                    f"audio_tokens_start is {audio_start}: {codebooks} × {codebook_size} codes from there "
                    f"do not fit into vocab_size {self.config.vocabulary}"
                )
        return TokenLayout.of_vocabulary(size, codebooks=codebooks, codebook_size=codebook_size)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The checkpoint's own tokenizer. Raises CheckpointError."""
        if not (self.folder / "tokenizer.json").is_file():
            raise CheckpointError(f"{self.folder.name} has no tokenizer.json")
        try:
            # Always this class, whatever tokenizer_config.json asks for: some others run code of their own.
            tokenizer = cast(
                "PreTrainedTokenizerFast",
                PreTrainedTokenizerFast.from_pretrained(self.folder, local_files_only=True),
            )
            tokenizer("")  # some settings are read and validated only now
            return tokenizer
        except Exception as error:  # the tokenizers library raises bare Exceptions
            raise CheckpointError(f"the tokenizer of {self.folder.name} cannot be read: {error}") from error

    def text_tokens(self, text: str) -> list[int]:
        """Tokenize a text as the makers' code does, start_of_text first."""
        return [int(token) for token in self.tokenizer(text)["input_ids"]]

    def check_shapes(self) -> None:
        """Compare every key and shape with the config. Raises CheckpointError for the first that differs."""
        found = dict(self._shapes())
        if self.config.tied_embedding:
            found.pop("lm_head.weight", None)
        check_shapes(self.config.shapes(), found)

    def weights(self, stack: ExitStack) -> Weights:
        """A reader of tensors, valid as long as ``stack`` is open."""
        files: dict[str, Any] = {}
        for path in weight_files(self.folder):
            opened = stack.enter_context(open_weights(path))
            files |= dict.fromkeys(opened.keys(), opened)

        def read(key: str) -> Tensor:
            if key not in files:
                raise CheckpointError(f"{key} is missing")
            return cast("Tensor", files[key].get_tensor(key)).to(torch.float32)

        return read

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for path in weight_files(self.folder):
            with open_weights(path) as opened:
                for key in opened.keys():  # noqa: SIM118 (safetensors' file is no mapping)
                    yield key, tuple(opened.get_slice(key).get_shape())


def check_shapes(expected: Mapping[str, Sequence[int]], found: Mapping[str, Sequence[int]]) -> None:
    """Compare the keys and shapes of tensors. Raises CheckpointError for the first that differs."""
    for key, shape in expected.items():
        if key not in found:
            raise CheckpointError(f"{key} is missing; its shape has to be {list(shape)}")
        if list(found[key]) != list(shape):
            raise CheckpointError(f"{key} has the shape {list(found[key])}; it has to be {list(shape)}")
    if extra := sorted(found.keys() - expected.keys()):
        raise CheckpointError(f"{extra[0]} {list(found[extra[0]])} is not part of this model")


def _names(settings: Mapping[str, Any], key: str, entry: str) -> tuple[str, ...]:
    """The list of names ``entry`` in the object ``key`` of a config; empty if absent."""
    known = settings.get(key) or {}
    names = known.get(entry) or [] if isinstance(known, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise CheckpointError(f"{key}: {entry} is not a list of names")
    return tuple(name.strip() for name in names)


def _card_languages(card: Path) -> tuple[str, ...]:
    """The languages in the front matter of a card; a damaged one tells none."""
    try:
        text = read_regular(card, 1 << 20).decode("utf-8")[:MAX_CARD] if card.is_file() else ""
        front = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else {}
    except (OSError, ValueError, IndexError, yaml.YAMLError):
        return ()
    told = front.get("language", []) if isinstance(front, dict) else []
    return tuple(each for each in (told if isinstance(told, list) else [told]) if isinstance(each, str))


def weight_files(folder: Path) -> list[Path]:
    """Return a checkpoint's safetensors files. Raises CheckpointError for one that is missing."""
    index = folder / "model.safetensors.index.json"
    names = {"model.safetensors"}
    if index.exists():
        shards = read_json(index).get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise CheckpointError(f"{index.name}: weight_map must be an object with at least one entry")
        names = {str(name) for name in shards.values()}
    paths = []
    for name in sorted(names):
        # A shard's name comes from an untrusted file.
        if Path(name).name != name or not (path := folder / name).is_file():
            raise CheckpointError(f"{folder.name} has no file {name!r}")
        paths.append(path)
    return paths


def open_weights(path: Path) -> Any:
    """Open a safetensors file for reading, a context manager. Raises CheckpointError, naming the file."""
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is not a safetensors file: {error}") from error
