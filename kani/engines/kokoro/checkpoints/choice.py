"""Adds checkpoints to the description of Kokoro."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kani.core.engine import EngineInfo, LightVoices
from kani.core.types import Voice
from kani.engines.kokoro.checkpoints.files import CheckpointFiles
from kani.text.languages import primary


def with_checkpoints(info: EngineInfo, checkpoints: Sequence[CheckpointFiles]) -> EngineInfo:
    """Return the description with the checkpoints' voices for their languages, and no others for these."""
    named = {language: files for files in checkpoints for language in files.languages}
    if not named:
        return info
    defaults = {language: files.default_voice(language) for language, files in named.items()}
    return replace(
        info,
        voices=(*without_languages(info.voices, named), *(v for files in checkpoints for v in files.voices)),
        default_voices={**info.default_voices, **defaults},
        accented={language: ids for language, ids in info.accented.items() if language not in named},
        networks={language: files.name for language, files in named.items()},
        light=_without(info.light, named) if info.light else None,
    )


def without_languages(voices: Sequence[Voice], languages: Mapping[str, object]) -> list[Voice]:
    """List the voices of languages that no checkpoint speaks."""
    return [voice for voice in voices if primary(voice.language) not in languages]


def _without(light: LightVoices, languages: Mapping[str, object]) -> LightVoices | None:
    kept = {voice: language for voice, language in light.languages.items() if language not in languages}
    return replace(light, languages=kept) if kept else None
