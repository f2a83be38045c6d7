"""A checkpoint as its maker publishes it: a folder with a network, its symbols and its voices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kani.engines.kokoro.checkpoints.files import PackedVoice
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.runtime.model_names import local_path
from kani.runtime.packages.checkpoint import fetched
from kani_text.foreign.files import read_regular
from kani_text.languages import primary
from tools.kokoro_pack.checkpoints.voice_files import Tables, read_voices

_FETCHED = ("*.json", "*.onnx", "*.pth", "*.pt", "*.bin", "*.npy", "*.npz")

MAX_NETWORK_BYTES, MAX_CONFIG_BYTES = 1 << 30, 1 << 20
TOKENS = 178
"""Rows of the network's embedding of symbols."""

NETWORKS = (".onnx", ".pth")
"""Suffixes of a network's file."""

_NAMED = re.compile(r"([a-z])([fm])_.+")
_LANGUAGES = {
    "a": "en-US",
    "b": "en-GB",
    "d": "de",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt-BR",
    "z": "zh",
}
"""Languages by the first letter of a voice's name, as Kokoro's are named; d is the family's for German."""

_GENDERS = {"f": "female", "m": "male"}


class Unusable(Exception):
    """A checkpoint cannot be packed; the message is the reason."""


class _Config(msgspec.Struct):
    """The part of ``config.json`` that is used."""

    vocab: dict[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointFiles:
    name: str  # what it is called
    network: Path
    vocabulary: Mapping[str, int]  # token ids of the symbols
    tables: Tables
    voices: tuple[PackedVoice, ...]  # those of its languages

    def read_network(self) -> bytes:
        """Read the network's file. Raises Unusable."""
        try:
            return read_regular(self.network, MAX_NETWORK_BYTES)
        except OSError as error:
            raise Unusable(f"{self.network.name}: {error.strerror}") from error


def read_checkpoint(name: str, languages: tuple[str, ...], cache_dir: Path) -> CheckpointFiles:
    """Read a checkpoint that is to speak some languages (primary subtags).

    name: a folder, or a hub's ``OWNER/NAME[@REVISION]``, which is fetched into ``cache_dir``. Raises
    Unusable, and EngineUnavailable for what cannot be fetched.
    """
    folder = local_path(name)
    if not folder.is_dir():
        folder = fetched(name, _FETCHED, cache_dir, "CHECKPOINT", may_fetch=True)
    networks = sorted(path for path in folder.iterdir() if path.suffix in NETWORKS)
    if len(networks) != 1:
        names = ", ".join(path.name for path in networks) or "none"
        raise Unusable(f"it needs exactly one file {' or '.join(NETWORKS)}, and has {names}")
    try:
        vocabulary = _vocabulary(folder / "config.json")
        tables = read_voices(folder)
    except (ValueError, RecursionError, msgspec.DecodeError) as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unusable(f"{error.filename}: {error.strerror}") from error
    if not tables:
        raise Unusable("it has no voices: put them into its folder voices (.pt, .bin, .npy or .npz)")
    called = name.partition("@")[0] if folder != local_path(name) else folder.resolve().name
    return CheckpointFiles(called, networks[0], vocabulary, tables, tuple(_voices(tables, languages)))


def _vocabulary(config: Path) -> Mapping[str, int]:
    """Read the symbols of a checkpoint; the published ones where it has no ``config.json``.

    Raises ValueError and OSError.
    """
    if not config.exists():
        return VOCABULARY
    content = read_regular(config, MAX_CONFIG_BYTES)
    try:
        vocabulary = msgspec.json.decode(content, type=_Config).vocab
    except msgspec.DecodeError as error:
        raise ValueError(f"{config.name}: {error}") from error
    wrong = [symbol for symbol, token in vocabulary.items() if len(symbol) != 1 or not 0 <= token < TOKENS]
    if wrong:
        raise ValueError(
            f"{config.name}: vocab: {wrong[0]!r} is not one character with a token of 0 to {TOKENS - 1}"
        )
    return vocabulary


def _voices(tables: Tables, languages: tuple[str, ...]) -> Iterator[PackedVoice]:
    """Describe the voices; those that their names give to other languages only if there are no others."""
    tags = {name: _tag(name, languages) for name in tables}
    chosen = [name for name in tables if tags[name]] or list(tables)
    for name in sorted(chosen):
        named = _NAMED.fullmatch(name)
        gender = _GENDERS[named[2]] if named else ""
        yield PackedVoice(name, tags[name] or languages[0], gender)


def _tag(name: str, languages: tuple[str, ...]) -> str:
    """Return the language of a voice by its name; "" where that is none of ``languages``."""
    named = _NAMED.fullmatch(name)
    if named is None or named[1] not in _LANGUAGES:
        return languages[0]
    tag = _LANGUAGES[named[1]]
    return tag if primary(tag) in languages else ""
