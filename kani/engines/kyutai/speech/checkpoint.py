"""Finds a checkpoint of Kyutai's text-to-speech and its voices, and checks what needs no package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.engines.kyutai.speech import published
from kani.runtime.model_names import local_path
from kani.runtime.packages.checkpoint import check_file, fetched, read_config

_CURE = "remove it and fetch it again by --fetch --engine kyutai, or name another folder (KANI_KYUTAI_MODEL)"
_DEFAULT_NAMES = {
    "moshi_name": "model.safetensors",
    "mimi_name": "tokenizer-e351c8d8-checkpoint125.safetensors",
    "tokenizer_name": "tokenizer_spm_32k_3.model",
}
"""Names that the package takes where ``config.json`` has none."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is complete."""

    folder: Path
    has_embeddings: bool
    """True if voices are published embeddings; otherwise they are recordings that the speech continues."""
    voice_suffix: str
    """End of the names of its embeddings' files, ".1e68beda@240.safetensors"."""


def find(model: str | None, cache: Path, *, may_fetch: bool) -> Checkpoint:
    """Return the checkpoint that the settings name, fetched if it may be. cache: folder of fetched files.

    Raises EngineUnavailable, naming the file and the cure.
    """
    name = model or published.DEFAULT_MODEL
    folder = local_path(name)
    if not folder.is_dir():
        folder = _fetched(name, published.FILES, cache, "KANI_KYUTAI_MODEL", may_fetch)
    return check(folder)


def find_voices(voices: str | None, found: Checkpoint, cache: Path, *, may_fetch: bool) -> Path | None:
    """Return the folder of the voices that the settings name; fetched voices where they name none and the
    checkpoint needs embeddings. Raises EngineUnavailable.
    """
    if voices is not None:
        folder = local_path(voices)
        if not folder.is_dir():
            raise EngineUnavailable(f"KANI_KYUTAI_VOICES: there is no folder {folder}")
        return folder
    if not found.has_embeddings:
        return None
    files = (f"{published.VOICE_FOLDER}/*{found.voice_suffix}",)
    return _fetched(published.VOICES, files, cache, "KANI_KYUTAI_VOICES", may_fetch)


def _fetched(name: str, files: tuple[str, ...], cache: Path, setting: str, may_fetch: bool) -> Path:
    return fetched(name, files, cache, engine="Kyutai", setting=setting, may_fetch=may_fetch)


def check(folder: Path) -> Checkpoint:
    """Check that a folder holds a whole checkpoint. Raises EngineUnavailable."""
    path = folder / "config.json"
    config = read_config(path, _CURE)
    tts, conditioners = config.get("tts_config"), config.get("conditioners")
    if not isinstance(tts, dict) or "audio_delay" not in tts or not isinstance(conditioners, dict):
        missing = "conditioners" if isinstance(tts, dict) and "audio_delay" in tts else "tts_config"
        raise EngineUnavailable(f"{path} is not of a text-to-speech model ({missing} is missing): {_CURE}")
    if tts.get("multistream"):
        raise EngineUnavailable(f"{path} is of a model for two speakers at once: {_CURE}")
    names = [str(config.get(key, default)) for key, default in _DEFAULT_NAMES.items()]
    names += [str(config["mimi_config_name"])] if config.get("mimi_config_name") else []
    for name in names:
        _check_named(folder, name)
    model_id = config.get("model_id")
    if not isinstance(model_id, dict) or not {"sig", "epoch"} <= model_id.keys():
        raise EngineUnavailable(f"{path} has no model_id with sig and epoch: {_CURE}")
    suffix = f".{model_id['sig']}@{model_id['epoch']}.safetensors"
    return Checkpoint(folder, "speaker_wavs" in conditioners, suffix)


def _check_named(folder: Path, name: str) -> None:
    # A name in an untrusted file: never a path out of the folder.
    if Path(name).name != name or not (folder / name).is_file():
        raise EngineUnavailable(f"{folder} has no file {name!r}, which its config.json names: {_CURE}")
    check_file(folder / name, _CURE)
