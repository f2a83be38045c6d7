"""Finds the checkpoints of Kyutai's models and their voices, and checks what needs no package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.kyutai import published
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.plugin import Resources
from kani.runtime.model_names import local_path, short_name
from kani.runtime.packages.checkpoint import check_file, fetched, read_config

MAX_VOICES = 1000
_RECORDINGS = (".wav", ".mp3", ".flac", ".ogg")
_DEFAULT_NAMES = {
    "moshi_name": "model.safetensors",
    "mimi_name": "tokenizer-e351c8d8-checkpoint125.safetensors",
    "tokenizer_name": "tokenizer_spm_32k_3.model",
}
"""Names that the package takes where ``config.json`` has none."""

_LANGUAGES = re.compile(r"stt-[\d.]+b-([a-z]{2}(?:_[a-z]{2})*).*")


def find_speech(settings: KyutaiSettings, resources: Resources) -> dict[str, Any]:
    """Return the settings of the speech adapter; files are fetched if they may be.

    Raises EngineUnavailable, naming the file and the cure.
    """
    name = settings.speech_model or published.SPEECH_MODEL
    folder, config = _checkpoint(name, local_path(name), resources, "engine", "KANI_KYUTAI_MODEL")
    path, cure = folder / "config.json", _cure("engine", "KANI_KYUTAI_MODEL")
    tts, conditioners, model_id = (config.get(key) for key in ("tts_config", "conditioners", "model_id"))
    if not isinstance(tts, dict) or "audio_delay" not in tts or not isinstance(conditioners, dict):
        missing = "conditioners" if isinstance(tts, dict) and "audio_delay" in tts else "tts_config"
        raise EngineUnavailable(f"{path} is not of a text-to-speech model ({missing} is missing): {cure}")
    if tts.get("multistream"):
        raise EngineUnavailable(f"{path} is of a model for two speakers at once: {cure}")
    if not isinstance(model_id, dict) or not {"sig", "epoch"} <= model_id.keys():
        raise EngineUnavailable(f"{path} has no model_id with sig and epoch: {cure}")
    suffix = f".{model_id['sig']}@{model_id['epoch']}"
    return {
        "folder": str(folder.resolve()),
        "version": f"{folder.name[:12]}{suffix}",
        "voices": _voices(settings.voices, resources, f"{suffix}.safetensors", conditioners),
        "slots": settings.speech_slots,
        "cfg": settings.cfg,
    }


def _voices(
    named: str | None, resources: Resources, suffix: str, conditioners: dict[str, Any]
) -> dict[str, str]:
    """Return the files of the voices by their names, as Kyutai has them: "ears/p003/freeform_01.wav".

    They are published embeddings of the checkpoint, whose files end with ``suffix``, or, of a model without
    embeddings, recordings.
    """
    embeddings = "speaker_wavs" in conditioners
    folder = None
    if named is not None:
        folder = local_path(named)
        if not folder.is_dir():
            raise EngineUnavailable(f"KANI_KYUTAI_VOICES: there is no folder {folder}")
    elif embeddings:
        files = (f"{published.VOICE_FOLDER}/*{suffix}",)
        folder = _fetched(published.VOICES, files, resources, "KANI_KYUTAI_VOICES")
    if folder is None:
        return {}
    found, top = dict[str, str](), folder.resolve()
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        ours = name.endswith(suffix) if embeddings else path.suffix in _RECORDINGS
        if ours and path.is_file() and len(found) < MAX_VOICES:
            check_file(path, _cure("engine", "KANI_KYUTAI_VOICES"))
            found[name.removesuffix(suffix) if embeddings else name] = str(path)
    if embeddings and not found:
        raise EngineUnavailable(
            f"there is no voice of this model in {folder}: its files end with {suffix} (KANI_KYUTAI_VOICES)"
        )
    return found


def hearing_languages(settings: KyutaiSettings) -> frozenset[str]:
    """Return the languages that the name of the recogniser's checkpoint tells."""
    named = _LANGUAGES.fullmatch(short_name(settings.model or published.HEARING_MODEL))
    return frozenset(named[1].split("_") if named is not None else ("en", "fr"))


def hearing_folder(settings: KyutaiSettings, resources: Resources) -> Path:
    """Return the folder of the recogniser's checkpoint, which may not be there.

    That is a folder of the model's name in ``models_dir``, or the one that the setting names. Raises
    EngineUnavailable for a model that cannot be one.
    """
    name = settings.model or published.HEARING_MODEL
    own = resources.models_dir / short_name(name) if resources.models_dir is not None else None
    folder = own if own is not None and own.is_dir() else local_path(name)
    # A hub's name is OWNER/NAME; whether the hub has it is known once it is fetched.
    if "/" not in name and not folder.is_dir():
        raise EngineUnavailable(
            f"KANI_RECOGNIZER_MODEL: {name!r} is neither a folder nor a model's name on a hub (OWNER/NAME)"
        )
    return folder


def find_hearing(settings: KyutaiSettings, resources: Resources) -> dict[str, Any]:
    """Return the settings of the hearing adapter, as ``find_speech`` does."""
    name, setting = settings.model or published.HEARING_MODEL, "KANI_RECOGNIZER_MODEL"
    folder = hearing_folder(settings, resources)
    folder, config = _checkpoint(name, folder, resources, "recognizer", setting)
    delays = config.get("stt_config")
    names = ("audio_silence_prefix_seconds", "audio_delay_seconds")
    before_s, text_s = (delays.get(each) if isinstance(delays, dict) else None for each in names)
    for each, value in zip(names, (before_s, text_s), strict=True):
        if not isinstance(value, int | float) or not 0 <= value <= 10:
            raise EngineUnavailable(
                f"{folder / 'config.json'} has no stt_config with {each} from 0 to 10: "
                f"{_cure('recognizer', setting)}"
            )
    return {
        "folder": str(folder.resolve()),
        "version": short_name(name),
        "languages": sorted(hearing_languages(settings)),
        "before_s": before_s,
        "text_s": text_s,
        "slots": settings.slots,
    }


def _checkpoint(
    name: str, folder: Path, resources: Resources, kind: str, setting: str
) -> tuple[Path, dict[str, Any]]:
    """Return the folder of a checkpoint, fetched if it may be, and its configuration; its files are whole."""
    cure = _cure(kind, setting)
    if name.partition("@")[0].endswith("-trfs"):
        raise EngineUnavailable(
            f"{setting}: {name} is in transformers' format: name the checkpoint without -trfs"
        )
    if not folder.is_dir():
        folder = _fetched(name, published.FILES, resources, setting)
    config = read_config(folder / "config.json", cure)
    names = [str(config.get(key, default)) for key, default in _DEFAULT_NAMES.items()]
    names += [str(config["mimi_config_name"])] if config.get("mimi_config_name") else []
    for each in names:
        # A name in an untrusted file: never a path out of the folder.
        if Path(each).name != each or not (folder / each).is_file():
            raise EngineUnavailable(f"{folder} has no file {each!r}, which its config.json names: {cure}")
        check_file(folder / each, cure)
    return folder, config


def _cure(kind: str, setting: str) -> str:
    return f"remove it and fetch it again by --fetch --{kind} kyutai, or name another folder ({setting})"


def _fetched(name: str, files: tuple[str, ...], resources: Resources, setting: str) -> Path:
    cache, may_fetch = resources.cache_dir, resources.may_fetch
    return fetched(name, files, cache, engine="Kyutai", setting=setting, may_fetch=may_fetch)
