"""Description of Kyutai's recogniser and text-to-speech for the server, which finds their checkpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kani.core.errors import EngineUnavailable
from kani.engines.kyutai import published
from kani.engines.packages.package import Package
from kani.engines.plugin import VOICES, EnginePlugin, RecognizerPlugin, Resources
from kani.engines.plugin_settings import PluginSettings
from kani.runtime.errors import CheckpointError
from kani.runtime.model_names import check_name, existing_folder, local_path, short_name
from kani.runtime.packages.checkpoint import check_files, read_json
from kani.runtime.packages.environment import TORCH_SIZE, PackageEnvironment

if TYPE_CHECKING:
    from kani.engines.packages.recognizer import PackageRecognizer

MAX_VOICES = 1000
_RECORDINGS = (".wav", ".mp3", ".flac", ".ogg")
_LANGUAGES = re.compile(r"stt-[\d.]+b-([a-z]{2}(?:_[a-z]{2})*).*")


def find_speech(_: PluginSettings, resources: Resources) -> dict[str, Any]:
    """Return the settings of the speech adapter; files are fetched if they may be.

    Raises EngineUnavailable, naming the file and the cure, and CheckpointError.
    """
    name = resources.model or published.SPEECH_MODEL
    folder, config, files = _checkpoint(SPEECH, name, resources)
    tts, conditioners, model_id = (config.get(key) for key in ("tts_config", "conditioners", "model_id"))
    if not isinstance(tts, dict) or "audio_delay" not in tts:
        fault = "is not of a text-to-speech model (tts_config is missing)"
    elif not isinstance(conditioners, dict):
        fault = "is not of a text-to-speech model (conditioners is missing)"
    elif tts.get("multistream"):
        fault = "is of a model for two speakers at once"
    elif not isinstance(model_id, dict) or not {"sig", "epoch"} <= model_id.keys():
        fault = "has no model_id with sig and epoch"
    else:
        suffix, embeddings = f".{model_id['sig']}@{model_id['epoch']}", "speaker_wavs" in conditioners
        voices = _voices(resources, f"{suffix}.safetensors" if embeddings else "")
        return {"files": files, "version": f"{folder.name[:12]}{suffix}", "voices": voices}
    raise CheckpointError(f"{folder / 'config.json'} {fault}")


def _voices(resources: Resources, embeddings: str) -> dict[str, str]:
    """Return the files of the voices by their names, as Kyutai has them: "ears/p003/freeform_01.wav".

    embeddings: how the names of the checkpoint's published embeddings end, empty for a model of recordings.
    """
    if resources.voices is not None:
        folder = existing_folder(resources.voices, VOICES)
    elif embeddings:
        files = (f"{published.VOICE_FOLDER}/*{embeddings}",)
        folder = SPEECH.fetched(published.VOICES, files, resources, VOICES)
    else:
        return {}
    found, top = dict[str, str](), folder.resolve()
    for path in sorted(top.rglob("*")):
        ours = path.name.endswith(embeddings) if embeddings else path.suffix in _RECORDINGS
        if ours and path.is_file() and len(found) < MAX_VOICES:
            check_files(path)
            found[path.relative_to(top).as_posix().removesuffix(embeddings)] = str(path)
    if embeddings and not found:
        raise EngineUnavailable(
            f"there is no voice of this model in {folder}: its files end with {embeddings} ({VOICES})"
        )
    return found


def hearing_languages(name: str) -> frozenset[str]:
    """Return the languages that the name of a recogniser's checkpoint tells."""
    named = _LANGUAGES.fullmatch(short_name(name))
    return frozenset(named[1].split("_") if named is not None else ("en", "fr"))


def find_hearing(_: PluginSettings, resources: Resources) -> dict[str, Any]:
    """Return the settings of the hearing adapter, as ``find_speech`` does."""
    name = resources.model or published.HEARING_MODEL
    folder, config, files = _checkpoint(HEARING, name, resources)
    delays, found = config.get("stt_config"), dict[str, Any]()
    for ours, theirs in (("before_s", "audio_silence_prefix_seconds"), ("text_s", "audio_delay_seconds")):
        value = delays.get(theirs) if isinstance(delays, dict) else None
        if not isinstance(value, int | float) or not 0 <= value <= 10:
            raise CheckpointError(f"{folder / 'config.json'} has no stt_config with {theirs} from 0 to 10")
        found[ours] = value
    languages = sorted(hearing_languages(name))
    return {"files": files, "version": short_name(name), "languages": languages, **found}


def local_folder(name: str, resources: Resources) -> Path:
    """Return the folder of a checkpoint, in ``models_dir`` or ``name`` itself; it may not be there."""
    own = resources.models_dir / short_name(name) if resources.models_dir is not None else None
    return own if own is not None and own.is_dir() else local_path(name)


def _checkpoint(
    package: Package, name: str, resources: Resources
) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """Return the folder of a checkpoint, fetched if it may be, its configuration, and its files.

    The files are whole; their names are the arguments of the package's ``CheckpointInfo``.
    """
    if name.partition("@")[0].endswith("-trfs"):
        raise EngineUnavailable(
            f"{package.setting}: {name} is in transformers' format: name the checkpoint without -trfs"
        )
    folder = local_folder(name, resources)
    if not folder.is_dir():
        folder = package.fetched(name, published.FILES, resources)
    config, folder = read_json(folder / "config.json"), folder.resolve()
    files = {"config_path": str(folder / "config.json")}
    for argument, (key, default) in published.NAMES.items():
        if file := str(config.get(key) or default):
            # A name in an untrusted file: never a path out of the folder.
            if Path(file).name != file or not (folder / file).is_file():
                raise CheckpointError(f"{folder} has no file {file!r}, which its config.json names")
            check_files(folder / file)
            files[argument] = str(folder / file)
    return folder, config, files


ENVIRONMENT = PackageEnvironment(
    engine="Kyutai",
    # The last two are imported by the text that grows (``kani.engines.worker.received_text``).
    modules=("msgspec", "numpy", "torch", "sentencepiece", "sphn", "moshi", "num2words", "babel"),
    packages="moshi==0.2.13 msgspec num2words babel",
    size=TORCH_SIZE,
    licence="MIT",
)
SPEECH = Package(
    "kyutai",
    ENVIRONMENT,
    "kani.engines.kyutai.speech:KyutaiSpeech",
    find_speech,
    recording_s=published.RECORDING_S,
)
HEARING = Package(
    "kyutai", ENVIRONMENT, "kani.engines.kyutai.hearing:KyutaiHearing", find_hearing, "recognizer"
)


def build(settings: PluginSettings, resources: Resources) -> PackageRecognizer:
    """Build the recogniser; its start starts the process of its package. Raises EngineUnavailable."""
    from kani.core.recognizer import RecognizerInfo
    from kani.engines.packages.recognizer import PackageRecognizer

    name, rate = resources.model or published.HEARING_MODEL, published.HEARING_RATE
    if not local_folder(name, resources).is_dir():
        check_name(name, HEARING.setting)
    info = RecognizerInfo("kyutai", short_name(name), rate, hearing_languages(name))
    return PackageRecognizer(HEARING, settings, resources, info)


RECOGNIZER = RecognizerPlugin(
    "kyutai", PluginSettings, build, HEARING.prepare, own_process=False, describes_itself=True
)
ENGINE = EnginePlugin("kyutai", PluginSettings, SPEECH.engine, SPEECH.prepare, own_process=False)
