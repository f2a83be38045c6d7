"""Reads and checks the files of a Whisper checkpoint before CTranslate2 loads them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kani.engines.whisper.checkpoint.layout import Layout, read_layout
from kani.runtime.errors import CheckpointError
from kani.runtime.model_names import matches_its_name
from kani_text.foreign.files import read_regular

MODEL, CONFIG, TOKENIZER = "model.bin", "config.json", "tokenizer.json"
VOCABULARIES = ("vocabulary.json", "vocabulary.txt")
FIRST_TOKEN = 0
"""Number of the vocabulary's first token, see ``renamed``."""

_MAX_BYTES = 32 << 20
_CONVERT = "ct2-transformers-converter --model OWNER/NAME --output_dir FOLDER --copy_files tokenizer.json"
_END = "<|endoftext|>"
_USED = (
    *("<|startoftranscript|>", _END, "<|startofprev|>", "<|transcribe|>"),
    *("<|translate|>", "<|notimestamps|>"),
)


@dataclass(frozen=True, slots=True)
class Contents:
    layout: Layout
    files: Mapping[str, bytes | Path]
    """Files by their names: the path of model.bin, and the content of the others."""


def read_contents(folder: Path) -> Contents:
    """Read a checkpoint's folder. Raises CheckpointError, naming the file and the cure. Blocks."""
    vocabulary_name = next((name for name in VOCABULARIES if (folder / name).is_file()), None)
    if vocabulary_name is None:
        raise CheckpointError(f"{folder} has no {' or '.join(VOCABULARIES)}{_cure(folder, VOCABULARIES[0])}")
    for name in (MODEL, CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} has no {name}{_cure(folder, name)}")
    layout = read_layout(folder / MODEL)
    if not _is_as_fetched(folder / MODEL):
        raise CheckpointError(f"{folder / MODEL} fails its SHA-256: remove it, and fetch it again")
    content = {name: _read(folder / name) for name in (CONFIG, TOKENIZER, vocabulary_name)}
    vocabulary = vocabulary_of(vocabulary_name, content[vocabulary_name])
    if len(vocabulary) != layout.tokens:
        raise CheckpointError(
            f"{vocabulary_name} has {len(vocabulary)} tokens, {MODEL} {layout.tokens}: take both of one "
            "checkpoint"
        )
    _check_tokenizer(content[TOKENIZER], vocabulary, vocabulary_name)
    _check_config(content[CONFIG], layout)
    return Contents(layout, {MODEL: folder / MODEL, **content})


def vocabulary_of(name: str, content: bytes) -> list[str]:
    """Return the tokens of a vocabulary's file in their order: a list in JSON, or a token a line.

    Raises CheckpointError.
    """
    try:
        text = content.decode()
        tokens = json.loads(text) if name.endswith(".json") else text.removesuffix("\n").split("\n")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{name} cannot be read: {error}") from error
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise CheckpointError(f"{name} is not a list of tokens")
    return tokens


def _cure(folder: Path, name: str) -> str:
    if (folder / "model.safetensors").is_file() or (folder / "pytorch_model.bin").is_file():
        return f": it holds a model of transformers, which CTranslate2 converts ({_CONVERT})"
    if name == TOKENIZER:
        return (
            f": copy it from the model that the folder was converted from, or convert it again ({_CONVERT})"
        )
    return ": a checkpoint in CTranslate2's format has it"


def _is_as_fetched(path: Path) -> bool:
    try:
        return matches_its_name(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _MAX_BYTES)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror})") from error


def _check_tokenizer(content: bytes, vocabulary: Sequence[str], vocabulary_name: str) -> None:
    """Check that the tokenizer numbers the tokens as the vocabulary does."""
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # the tokenizers library raises bare Exceptions
        raise CheckpointError(f"{TOKENIZER} is not a tokenizer: {error}") from error
    numbers = {token: number for number, token in enumerate(vocabulary)}
    for token in _USED:
        if tokenizer.token_to_id(token) is None or tokenizer.token_to_id(token) != numbers.get(token):
            raise CheckpointError(
                f"the token {token} is number {tokenizer.token_to_id(token)} of {TOKENIZER} and "
                f"{numbers.get(token)} of {vocabulary_name}: take both of one Whisper checkpoint"
            )
    for number, token in enumerate(vocabulary[: numbers[_END]]):
        if tokenizer.id_to_token(number) != token:
            raise CheckpointError(
                f"token {number} is {tokenizer.id_to_token(number)!r} in {TOKENIZER} and {token[:40]!r} in "
                f"{vocabulary_name}: take both of one checkpoint"
            )


def _check_config(content: bytes, layout: Layout) -> None:
    """Check the numbers that CTranslate2 takes as they are."""
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{CONFIG} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{CONFIG} is not a JSON object")
    for key in ("suppress_ids", "suppress_ids_begin", "lang_ids"):
        for number in _listed(config, key):
            if type(number) is not int or not -1 <= number < layout.tokens:
                raise CheckpointError(f"{CONFIG}: {key} has {number!r}, no token (0 to {layout.tokens - 1})")
    for pair in _listed(config, "alignment_heads"):
        match pair:
            case [int(layer), int(head)] if 0 <= layer < layout.layers and 0 <= head < layout.heads:
                continue
        raise CheckpointError(
            f"{CONFIG}: alignment_heads has {pair!r}; it has {layout.layers} layers of {layout.heads} heads"
        )


def _listed(config: Mapping[str, Any], key: str) -> list[Any]:
    values = config.get(key) or []
    if not isinstance(values, list):
        raise CheckpointError(f"{CONFIG}: {key} is not a list")
    return values


def renamed(name: str, content: bytes) -> bytes:
    """Return a file's content; a vocabulary's with the names of its first and its start token exchanged.

    CTranslate2 feeds the given beginning of an answer to the model token by token, 5 ms each; except for the
    tokens after the start token, up to one with a lower number, which it feeds at once. With the first token
    of all in that role, the whole beginning is fed at once.
    """
    if name not in VOCABULARIES:
        return content
    names = vocabulary_of(name, content)
    begin = names.index("<|startoftranscript|>")
    names[FIRST_TOKEN], names[begin] = names[begin], names[FIRST_TOKEN]
    return (json.dumps(names) if name.endswith(".json") else "\n".join(names)).encode()
