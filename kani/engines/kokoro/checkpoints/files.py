"""The checkpoints that a setting names: their folders, and each one's network, symbols and voices."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from kani.core.engine import EngineInfo, LightVoices
from kani.core.errors import EngineUnavailable
from kani.core.types import Voice
from kani.engines.kokoro.checkpoints.voice_files import Tables, read_voices
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.voices import DEFAULT_VOICES, ENGINE
from kani.runtime.model_names import HUB_NAME, local_path
from kani.runtime.packages.checkpoint import fetched
from kani_text.foreign.files import read_regular
from kani_text.languages import primary

SETTING = "KANI_KOKORO_MODELS"

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


class _Config(msgspec.Struct):
    """The part of ``config.json`` that is used."""

    vocab: dict[str, int]


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a checkpoint, and what it is called: by the folder, or by its name on a hub."""

    folder: Path
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointFiles:
    """A checkpoint that is not loaded yet."""

    folder: Path
    name: str  # what it is called
    languages: tuple[str, ...]  # primary subtags that it speaks
    network: Path
    vocabulary: Mapping[str, int]  # token ids of the symbols
    tables: Tables
    voices: tuple[Voice, ...]  # those of ``languages``

    def default_voice(self, language: str) -> str:
        """Return the id of the voice that speaks a language by itself: Kokoro's own default, or the first."""
        ids = [voice.id for voice in self.voices if primary(voice.language) == language]
        ids = ids or [voice.id for voice in self.voices]
        return DEFAULT_VOICES[language] if DEFAULT_VOICES.get(language) in ids else ids[0]

    def read_network(self) -> bytes:
        """Read the network's file. Raises EngineUnavailable."""
        try:
            return read_regular(self.network, MAX_NETWORK_BYTES)
        except OSError as error:
            raise unusable(self.folder, f"{self.network.name}: {error.strerror}") from error


def local_places(models: Mapping[str, str]) -> dict[str, Place]:
    """Return the places of the checkpoints that are folders, by language.

    models: a folder or a hub's ``OWNER/NAME[@REVISION]`` by language. Raises EngineUnavailable for a name
    that is neither.
    """
    found: dict[str, Place] = {}
    for language, name in models.items():
        folder = local_path(name)
        if folder.is_dir():
            found[language] = Place(folder.resolve(), folder.resolve().name)
        elif not HUB_NAME.fullmatch(name):
            raise EngineUnavailable(
                f"{SETTING}: {language}={name} is neither a folder nor a model's name on a hub (OWNER/NAME)"
            )
    return found


def find_places(models: Mapping[str, str], cache_dir: Path, *, may_fetch: bool) -> dict[str, Place]:
    """Return the places of all checkpoints by language, as ``local_places``; those of a hub are fetched once.

    cache_dir: folder of fetched files; may_fetch: whether they may be. Raises EngineUnavailable. Blocks.
    """
    found = local_places(models)
    for language, name in models.items():
        if language not in found:
            folder = fetched(name, _FETCHED, cache_dir, SETTING, may_fetch=may_fetch)
            found[language] = Place(folder, name.partition("@")[0])
    return {language: found[language] for language in models}


def read_checkpoints(places: Mapping[str, Place], shipped: Sequence[Voice]) -> list[CheckpointFiles]:
    """Read the folders of checkpoints, by primary language subtag.

    A folder of several languages is one checkpoint. shipped: Kokoro's own voices; no checkpoint may take
    their names but for those of its languages. Raises EngineUnavailable.
    """
    languages: dict[Path, list[str]] = {}
    for language, place in places.items():
        languages.setdefault(place.folder, []).append(language)
    found = [_files(places[spoken[0]], tuple(spoken)) for spoken in languages.values()]
    seen = {voice.id: ENGINE for voice in shipped if primary(voice.language) not in places}
    for files in found:
        for voice in files.voices:
            if voice.id in seen:
                raise unusable(files.folder, f"{voice.id} is also a voice of {seen[voice.id]}: rename one")
            seen[voice.id] = str(files.folder)
    return found


def with_checkpoints(info: EngineInfo, checkpoints: Sequence[CheckpointFiles]) -> EngineInfo:
    """Return the description with the checkpoints' voices for their languages, and no others for these."""
    named = {language: files for files in checkpoints for language in files.languages}
    if not named:
        return info
    defaults = {language: files.default_voice(language) for language, files in named.items()}
    others = [voice for voice in info.voices if primary(voice.language) not in named]
    return replace(
        info,
        voices=(*others, *(v for files in checkpoints for v in files.voices)),
        default_voices={**info.default_voices, **defaults},
        accented={language: ids for language, ids in info.accented.items() if language not in named},
        networks={language: files.name for language, files in named.items()},
        light=_without(info.light, named) if info.light else None,
    )


def unusable(folder: Path, reason: str) -> EngineUnavailable:
    """Make the error for a checkpoint that cannot be used."""
    return EngineUnavailable(f"{SETTING}: the checkpoint in {folder} cannot be used: {reason}")


def _files(place: Place, languages: tuple[str, ...]) -> CheckpointFiles:
    folder = place.folder
    networks = sorted(path for path in folder.iterdir() if path.suffix in NETWORKS)
    if len(networks) != 1:
        names = ", ".join(path.name for path in networks) or "none"
        raise unusable(folder, f"it needs exactly one file {' or '.join(NETWORKS)}, and has {names}")
    try:
        vocabulary = _vocabulary(folder / "config.json")
        tables = read_voices(folder)
    except (ValueError, RecursionError, msgspec.DecodeError) as error:
        raise unusable(folder, str(error)) from error
    except OSError as error:
        raise unusable(folder, f"{error.filename}: {error.strerror}") from error
    if not tables:
        raise unusable(folder, "it has no voices: put them into its folder voices (.pt, .bin, .npy or .npz)")
    voices = tuple(_voices(tables, languages))
    return CheckpointFiles(folder, place.name, languages, networks[0], vocabulary, tables, voices)


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


def _voices(tables: Tables, languages: tuple[str, ...]) -> Iterator[Voice]:
    """Describe the voices; those that their names give to other languages only if there are no others."""
    tags = {name: _tag(name, languages) for name in tables}
    chosen = [name for name in tables if tags[name]] or list(tables)
    for name in sorted(chosen):
        named = _NAMED.fullmatch(name)
        gender = _GENDERS[named[2]] if named else ""
        yield Voice(name, name, tags[name] or languages[0], ENGINE, gender)


def _tag(name: str, languages: tuple[str, ...]) -> str:
    """Return the language of a voice by its name; "" where that is none of ``languages``."""
    named = _NAMED.fullmatch(name)
    if named is None or named[1] not in _LANGUAGES:
        return languages[0]
    tag = _LANGUAGES[named[1]]
    return tag if primary(tag) in languages else ""


def _without(light: LightVoices, languages: Mapping[str, object]) -> LightVoices | None:
    kept = {voice: language for voice, language in light.languages.items() if language not in languages}
    return replace(light, languages=kept) if kept else None
