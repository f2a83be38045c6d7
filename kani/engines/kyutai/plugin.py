"""Description of Kyutai's recogniser and text-to-speech for the server, which finds their checkpoints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kani.core.errors import EngineUnavailable
from kani.engines.kyutai import published
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.packages.package import Package
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources
from kani.runtime.model_names import local_path, short_name
from kani.runtime.packages.environment import PackageEnvironment

if TYPE_CHECKING:
    from kani.engines.packages.recognizer import PackageRecognizer

MAX_VOICES = 1000
_RECORDINGS = (".wav", ".mp3", ".flac", ".ogg")
_LANGUAGES = re.compile(r"stt-[\d.]+b-([a-z]{2}(?:_[a-z]{2})*).*")
_VOICES = "KANI_KYUTAI_VOICES"


def find_speech(settings: KyutaiSettings, resources: Resources) -> dict[str, Any]:
    """Return the settings of the speech adapter; files are fetched if they may be.

    Raises EngineUnavailable, naming the file and the cure.
    """
    name = settings.speech_model or published.SPEECH_MODEL
    folder, config, files = _checkpoint(SPEECH, name, local_path(name), resources)
    tts, conditioners, model_id = (config.get(key) for key in ("tts_config", "conditioners", "model_id"))
    fault = ""
    if not isinstance(tts, dict) or "audio_delay" not in tts or not isinstance(conditioners, dict):
        missing = "conditioners" if isinstance(tts, dict) and "audio_delay" in tts else "tts_config"
        fault = f"is not of a text-to-speech model ({missing} is missing)"
    elif tts.get("multistream"):
        fault = "is of a model for two speakers at once"
    if not isinstance(model_id, dict) or not {"sig", "epoch"} <= model_id.keys():
        fault = fault or "has no model_id with sig and epoch"
    if fault or model_id is None or conditioners is None:
        raise EngineUnavailable(f"{folder / 'config.json'} {fault}: {SPEECH.cure}")
    suffix = f".{model_id['sig']}@{model_id['epoch']}"
    return {
        "files": files,
        "version": f"{folder.name[:12]}{suffix}",
        "voices": _voices(settings.voices, resources, suffix, embeddings="speaker_wavs" in conditioners),
    }


def _voices(named: str | None, resources: Resources, suffix: str, *, embeddings: bool) -> dict[str, str]:
    """Return the files of the voices by their names, as Kyutai has them: "ears/p003/freeform_01.wav".

    They are published embeddings of the checkpoint that ``suffix`` names, or, of a model without
    embeddings, recordings.
    """
    suffix += ".safetensors"
    if named is not None:
        folder = local_path(named)
        if not folder.is_dir():
            raise EngineUnavailable(f"{_VOICES}: there is no folder {folder}")
    elif embeddings:
        files = (f"{published.VOICE_FOLDER}/*{suffix}",)
        folder = SPEECH.fetched(published.VOICES, files, resources, _VOICES)
    else:
        return {}
    found, top = dict[str, str](), folder.resolve()
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        ours = name.endswith(suffix) if embeddings else path.suffix in _RECORDINGS
        if ours and path.is_file() and len(found) < MAX_VOICES:
            SPEECH.check(path)
            found[name.removesuffix(suffix) if embeddings else name] = str(path)
    if embeddings and not found:
        raise EngineUnavailable(
            f"there is no voice of this model in {folder}: its files end with {suffix} ({_VOICES})"
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
            f"{HEARING.setting}: {name!r} is neither a folder nor a model's name on a hub (OWNER/NAME)"
        )
    return folder


def find_hearing(settings: KyutaiSettings, resources: Resources) -> dict[str, Any]:
    """Return the settings of the hearing adapter, as ``find_speech`` does."""
    name = settings.model or published.HEARING_MODEL
    folder, config, files = _checkpoint(HEARING, name, hearing_folder(settings, resources), resources)
    delays = config.get("stt_config")
    found: dict[str, Any] = {
        "files": files,
        "version": short_name(name),
        "languages": sorted(hearing_languages(settings)),
    }
    for ours, theirs in (("before_s", "audio_silence_prefix_seconds"), ("text_s", "audio_delay_seconds")):
        value = delays.get(theirs) if isinstance(delays, dict) else None
        if not isinstance(value, int | float) or not 0 <= value <= 10:
            raise EngineUnavailable(
                f"{folder / 'config.json'} has no stt_config with {theirs} from 0 to 10: {HEARING.cure}"
            )
        found[ours] = value
    return found


def _checkpoint(
    package: Package, name: str, folder: Path, resources: Resources
) -> tuple[Path, dict[str, Any], dict[str, str]]:
    """Return the folder of a checkpoint, fetched if it may be, its configuration, and its files.

    The files are whole; their names are the arguments of the package's ``CheckpointInfo``.
    """
    if name.partition("@")[0].endswith("-trfs"):
        raise EngineUnavailable(
            f"{package.setting}: {name} is in transformers' format: name the checkpoint without -trfs"
        )
    if not folder.is_dir():
        folder = package.fetched(name, published.FILES, resources)
    config, folder = package.config(folder), folder.resolve()
    files = {"config_path": str(folder / "config.json")}
    for argument, (key, default) in published.NAMES.items():
        if file := str(config.get(key) or default):
            # A name in an untrusted file: never a path out of the folder.
            if Path(file).name != file or not (folder / file).is_file():
                raise EngineUnavailable(
                    f"{folder} has no file {file!r}, which its config.json names: {package.cure}"
                )
            package.check(folder / file)
            files[argument] = str(folder / file)
    return folder, config, files


ENVIRONMENT = PackageEnvironment(
    engine="Kyutai",
    package="moshi",
    # The last two are imported by the text that grows (``kani.engines.worker.received_text``).
    modules=("msgspec", "numpy", "torch", "sentencepiece", "sphn", "moshi", "num2words", "babel"),
    requirements="requirements-kyutai.txt",
    packages="moshi==0.2.13 msgspec num2words babel",
    variable="KANI_KYUTAI_PYTHON",
    size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
    licence="MIT",
)
SPEECH = Package(
    "kyutai",
    ENVIRONMENT,
    "kani.engines.kyutai.speech:KyutaiSpeech",
    find_speech,
    "KANI_KYUTAI_MODEL",
    recording_s=published.RECORDING_S,
)
HEARING = Package(
    "kyutai",
    ENVIRONMENT,
    "kani.engines.kyutai.hearing:KyutaiHearing",
    find_hearing,
    "KANI_RECOGNIZER_MODEL",
    "recognizer",
)
SAMPLE_RATE = 24_000


def build(settings: KyutaiSettings, resources: Resources) -> PackageRecognizer:
    """Build the recogniser; its start starts the process of its package. Raises EngineUnavailable."""
    from kani.core.recognizer import RecognizerInfo
    from kani.engines.packages.recognizer import PackageRecognizer

    hearing_folder(settings, resources)
    version = short_name(settings.model or published.HEARING_MODEL)
    info = RecognizerInfo("kyutai", version, SAMPLE_RATE, hearing_languages(settings))
    return PackageRecognizer(HEARING, settings, resources, info)


RECOGNIZER = RecognizerPlugin(
    "kyutai", KyutaiSettings, build, HEARING.prepare, own_process=False, describes_itself=True
)
ENGINE = EnginePlugin("kyutai", KyutaiSettings, SPEECH.engine, SPEECH.prepare, own_process=False)
