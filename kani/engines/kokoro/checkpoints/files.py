"""The checkpoints that a setting names: folders that ``python -m tools.kokoro_pack`` makes.

A folder has a packed network (``litert.packed``), a description, and the voices with their statistics.
"""

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineUnavailable
from kani.core.types import Voice
from kani.engines.kokoro.litert.packed import BROKEN
from kani.engines.kokoro.network.norm_statistics import VoiceStatistics
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.voices import DEFAULT_VOICES, ENGINE, STYLES_SHAPE
from kani.runtime.model_names import local_path
from kani_text.foreign.files import read_regular
from kani_text.languages import primary

SETTING = "KANI_KOKORO_MODELS"

DESCRIPTION_FILE, VOICES_FILE = "checkpoint.json", "voices.npz"
VOICE_ARRAYS = ("style", "mean", "log_variance", "level", "log_f0")
"""Arrays of each voice: ``VOICE.style`` [510, 256], and its statistics."""

MAX_DESCRIPTION_BYTES, MAX_VOICES_BYTES = 1 << 20, 1 << 29


class PackedVoice(msgspec.Struct, frozen=True):
    id: str
    language: str
    gender: str = ""


class Description(msgspec.Struct, frozen=True):
    """The content of ``checkpoint.json``."""

    name: str  # what it is called
    languages: tuple[str, ...]  # primary subtags that it was packed for
    vocabulary: dict[str, int]  # token ids of its symbols
    voices: tuple[PackedVoice, ...]
    sample: str  # symbols of a short text, which its speed is measured with


@dataclass(frozen=True, slots=True, eq=False)
class CheckpointFiles:
    """A checkpoint that is not loaded yet."""

    folder: Path
    description: Description
    languages: tuple[str, ...]  # primary subtags that it speaks
    voices: tuple[Voice, ...]  # those of ``languages``
    tables: Mapping[str, Array]  # styles [510, 256] by voice
    statistics: Mapping[str, VoiceStatistics]

    @property
    def name(self) -> str:
        return self.description.name

    def default_voice(self, language: str) -> str:
        """Return the id of the voice that speaks a language by itself: Kokoro's own default, or the first."""
        ids = [voice.id for voice in self.voices if primary(voice.language) == language]
        ids = ids or [voice.id for voice in self.voices]
        return DEFAULT_VOICES[language] if DEFAULT_VOICES.get(language) in ids else ids[0]


def read_checkpoints(models: Mapping[str, str], shipped: Sequence[Voice]) -> list[CheckpointFiles]:
    """Read the folders of checkpoints, by primary language subtag.

    A folder of several languages is one checkpoint. shipped: Kokoro's own voices; no checkpoint may take
    their names but for those of its languages. Raises EngineUnavailable.
    """
    languages: dict[Path, list[str]] = {}
    for language, name in models.items():
        folder = local_path(name)
        if not folder.is_dir():
            raise EngineUnavailable(
                f"{SETTING}: {language}={name} is no folder: python -m tools.kokoro_pack {name} FOLDER "
                f"--languages {language} makes one of a folder or of a model on a hub (OWNER/NAME)"
            )
        languages.setdefault(folder.resolve(), []).append(language)
    found = [_files(folder, tuple(spoken)) for folder, spoken in languages.items()]
    seen = {voice.id: ENGINE for voice in shipped if primary(voice.language) not in models}
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
    accented = {tag: ids for tag, ids in info.voice_rules.accented.items() if tag not in named}
    networks = {language: files.name for language, files in named.items()}
    light = info.light
    if light is not None:
        students = {voice: tag for voice, tag in light.languages.items() if tag not in named}
        light = replace(light, languages=students) if students else None
    return replace(
        info,
        voices=(*others, *(v for files in checkpoints for v in files.voices)),
        default_voices={**info.default_voices, **defaults},
        voice_rules=replace(info.voice_rules, accented=accented, networks=networks),
        light=light,
    )


def unusable(folder: Path, reason: str) -> EngineUnavailable:
    """Make the error for a checkpoint that cannot be used."""
    return EngineUnavailable(f"{SETTING}: the checkpoint in {folder} cannot be used: {reason}")


def _files(folder: Path, languages: tuple[str, ...]) -> CheckpointFiles:
    path = folder / DESCRIPTION_FILE
    if not path.exists():
        command = f"python -m tools.kokoro_pack {folder} FOLDER --languages {','.join(languages)}"
        raise unusable(folder, f"it is not packed: {command}")
    try:
        description = msgspec.json.decode(read_regular(path, MAX_DESCRIPTION_BYTES), type=Description)
        tables, statistics = _read_voices(folder / VOICES_FILE, description.voices)
    except (*BROKEN, zlib.error, RecursionError) as error:
        raise unusable(folder, f"{error}: pack it again") from error
    if other := [language for language in languages if language not in description.languages]:
        raise unusable(
            folder, f"it was packed for {', '.join(description.languages)}, and not for {', '.join(other)}"
        )
    own = [voice for voice in description.voices if primary(voice.language) in languages]
    voices = tuple(
        Voice(voice.id, voice.id, voice.language, ENGINE, voice.gender) for voice in own or description.voices
    )
    if not voices:
        raise unusable(folder, "it has no voices")
    return CheckpointFiles(folder, description, languages, voices, tables, statistics)


def _read_voices(
    path: Path, voices: Sequence[PackedVoice]
) -> tuple[dict[str, Array], dict[str, VoiceStatistics]]:
    """Read the styles and the statistics of voices. Raises ``BROKEN``."""
    tables, statistics = {}, {}
    content = io.BytesIO(read_regular(path, MAX_VOICES_BYTES))
    with np.load(content, allow_pickle=False) as data:
        for voice in voices:
            read = [np.asarray(data[f"{voice.id}.{kind}"], np.float32) for kind in VOICE_ARRAYS]
            style, mean, log_variance, level, log_f0 = read
            if style.shape != STYLES_SHAPE or not all(np.isfinite(each).all() for each in read):
                raise ValueError(f"{path.name}: {voice.id} has no styles {list(STYLES_SHAPE)} of numbers")
            tables[voice.id], nothing = style, np.zeros(0, np.float32)
            statistics[voice.id] = VoiceStatistics(mean, log_variance, nothing, level.item(), log_f0.item())
    return tables, statistics
