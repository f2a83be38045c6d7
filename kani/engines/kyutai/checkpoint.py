"""Loads a checkpoint of Kyutai's recogniser: transformers' files, from a folder or a model hub.

Only JSON and safetensors files are read: no pickle, and no code from a checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    KyutaiSpeechToTextConfig,
    KyutaiSpeechToTextForConditionalGeneration,
    PreTrainedTokenizerFast,
    logging,
)

from kani.engines.kyutai.delays import Delays
from kani.runtime.checkpoint import open_weights, read_json, verify, weight_files
from kani.runtime.errors import CheckpointError
from kani.runtime.linear import Int8

_MODEL_TYPE = "kyutai_speech_to_text"
_HEAD = re.compile(r"extra_heads\.(\d)\.weight")
_HEADS = 4
_MAX_WINDOW = 4096

FRAME_SAMPLES = 1920
"""Samples of a frame at 24 kHz: the 80 ms of a ``Step``."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint."""

    model: Any  # transformers' KyutaiSpeechToTextForConditionalGeneration
    tokenizer: PreTrainedTokenizerFast
    pause_heads: Tensor | None  # [4, classes, hidden size]
    first_token: int  # text before all text
    padding: int  # token between words
    delays: Delays


def load(folder: Path, *, device: torch.device, precision: torch.dtype) -> Checkpoint:
    """Load a checkpoint's folder. precision: of the language model; Mimi is always float32.

    Raises CheckpointError, naming the file and the cure.
    """
    settings = read_json(folder / "config.json")
    if settings.get("model_type") != _MODEL_TYPE:
        raise CheckpointError(
            f"{folder.name}: config.json has the model_type {settings.get('model_type')!r}, not "
            f"{_MODEL_TYPE!r}: the checkpoints that transformers loads end with -trfs"
        )
    files = weight_files(folder)
    for path in files:
        verify(path)
    heads = _pause_heads(folder)
    delays = _delays(folder)
    tokenizer = _tokenizer(folder)
    model = _model(folder, torch.bfloat16 if precision == torch.int8 else precision)
    if heads is not None and heads.shape[-1] != model.config.hidden_size:
        raise CheckpointError(
            f"extra_heads.0.weight has {heads.shape[-1]} inputs; it has to have {model.config.hidden_size}"
        )
    if precision == torch.int8:
        quantise(model)
    first = model.generation_config.bos_token_id
    return Checkpoint(
        model.to(device).eval(),
        tokenizer,
        heads,
        _token(model, "bos_token_id", model.config.bos_token_id if first is None else first),
        _token(model, "pad_token_id", model.config.pad_token_id),
        delays,
    )


def _token(model: Any, key: str, number: object) -> int:
    """Check that ``number`` is a row of the embedding."""
    rows = model.model.embed_tokens.embed_tokens.num_embeddings
    if not isinstance(number, int) or not 0 <= number < rows:
        raise CheckpointError(f"{key} is {number!r}: it has to be a token from 0 to {rows - 1}")
    return number


def _model(folder: Path, dtype: torch.dtype) -> Any:
    try:
        config: Any = KyutaiSpeechToTextConfig.from_pretrained(folder)
        _check(config, folder.name)
        # Mimi's other half makes audio of codes.
        config.codec_config.decoder_config = None
        with _quiet():
            # transformers leaves this method untyped.
            model, report = cast("Any", KyutaiSpeechToTextForConditionalGeneration).from_pretrained(
                folder,
                config=config,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
            )
    except CheckpointError:
        raise
    except (
        *(StrictDataclassError, SafetensorError),
        *(OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError),
    ) as error:
        reason = str(error).replace(str(folder), folder.name)
        raise CheckpointError(f"{folder.name} cannot be loaded: {reason}") from error
    for key in sorted(report["missing_keys"]):
        raise CheckpointError(f"{folder.name}: {key} is missing; fetch the checkpoint again")
    return model


def _check(config: Any, name: str) -> None:
    codec = config.codec_config
    if (codec.sampling_rate, codec.frame_size) != (24_000, FRAME_SAMPLES):
        raise CheckpointError(
            f"{name}: codec_config has frames of {codec.frame_size} samples at {codec.sampling_rate} Hz; "
            f"they have to have {FRAME_SAMPLES} at 24000 Hz"
        )
    for place, window in (("", config.sliding_window), ("codec_config: ", codec.sliding_window)):
        if type(window) is not int or not 0 < window <= _MAX_WINDOW:
            raise CheckpointError(
                f"{name}: {place}sliding_window is {window!r}; it has to be a number from 1 to {_MAX_WINDOW}"
            )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from listing the weights of Mimi's decoder, which are not used."""
    library: Any = logging
    before, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(before)
        if bars:
            library.enable_progress_bar()


def _tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(f"{folder.name} has no tokenizer.json")
    try:
        # Always this class, whatever tokenizer_config.json asks for: some others run code of their own.
        return cast(
            "PreTrainedTokenizerFast",
            PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True),
        )
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise CheckpointError(f"the tokenizer of {folder.name} cannot be read: {error}") from error


def _delays(folder: Path) -> Delays:
    """Read the silence before the audio and the text's delay from the feature extractor's settings."""
    path = folder / "preprocessor_config.json"
    if path.exists():
        settings = read_json(path)
    else:
        # As transformers writes them from version 5 on.
        path = folder / "processor_config.json"
        inner = read_json(path).get("feature_extractor")
        settings = inner if isinstance(inner, dict) else {}
    seconds = []
    for key in ("audio_silence_prefix_seconds", "audio_delay_seconds"):
        value = settings.get(key)
        if not isinstance(value, int | float) or not 0 <= value <= 10:
            raise CheckpointError(f"{path.name}: {key} is {value!r}; it has to be a number from 0 to 10")
        seconds.append(float(value))
    return Delays.of_seconds(*seconds)


def _pause_heads(folder: Path) -> Tensor | None:
    """Read the heads that predict pauses, from whichever safetensors file of the folder has them."""
    heads = dict[int, Tensor]()
    for path in sorted(folder.glob("*.safetensors")):
        with open_weights(path) as opened:
            for key in opened.keys():  # noqa: SIM118 (safetensors' file is no mapping)
                if found := _HEAD.fullmatch(key):
                    heads[int(found[1])] = opened.get_tensor(key)
    if not heads:
        return None
    if sorted(heads) != list(range(_HEADS)) or len({head.shape for head in heads.values()}) != 1:
        raise CheckpointError(f"{folder.name}: extra_heads has to be {_HEADS} matrices of one shape")
    return torch.stack([heads[at] for at in range(_HEADS)])


class _Int8Linear(nn.Module):
    """A linear layer in int8; a row's result does not depend on the other rows."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self._product = Int8(weight)

    def forward(self, rows: Tensor) -> Tensor:
        """Multiply rows: [..., inputs] → [..., outputs]."""
        return self._product(rows)


def quantise(model: Any) -> None:
    """Replace the linear layers of the language model by int8 ones; the rest of it becomes float32."""
    _replace_linear(model.model)
    model.float()


def _replace_linear(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, _Int8Linear(child.weight.detach().float()))
        else:
            _replace_linear(child)
