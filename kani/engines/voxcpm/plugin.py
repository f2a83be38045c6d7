"""Description of VoxCPM for the server; it finds a checkpoint, and checks it before the package reads it."""

from typing import Any

from kani.engines.packages.package import Package
from kani.engines.plugin import RECORDING_RATE, EnginePlugin, Resources
from kani.engines.plugin_settings import PluginSettings, setting
from kani.engines.voxcpm import published
from kani.runtime.errors import CheckpointError
from kani.runtime.model_names import existing_folder, local_path
from kani.runtime.packages.checkpoint import check_files, read_json
from kani.runtime.packages.environment import TORCH_SIZE, PackageEnvironment

VOXCPM = "VoxCPM's model"


class VoxCPMSettings(PluginSettings):
    """Settings of the VoxCPM engine, frozen; None stands for its own default."""

    denoiser: str | None = setting(
        None,
        "KANI_VOXCPM_DENOISER",
        group=VOXCPM,
        after="pocket_languages",
        option=False,
        min_length=1,
        about="Folder of the ZipEnhancer model that denoises recordings for `denoise`. Not set: none.",
    )


_FILES = (
    ("model.safetensors", "pytorch_model.bin"),
    ("audiovae.safetensors", "audiovae.pth"),
    ("tokenizer.json", "tokenizer.model"),
)
"""Files of a checkpoint, each by one of the names."""

_CONFIGS = ("lm_config", "encoder_config", "dit_config")


def find(settings: VoxCPMSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings: the checkpoint that the settings name, fetched if it may be.

    Raises EngineUnavailable, and CheckpointError naming the file: the package would load what it can.
    """
    name = resources.model or published.DEFAULT_MODEL
    folder = local_path(name)
    if not folder.is_dir():
        files = published.DEFAULT_FILES if name == published.DEFAULT_MODEL else published.FILES
        folder = PACKAGE.fetched(name, files, resources)
    config = read_json(folder / "config.json")
    architecture = str(config.get("architecture", "voxcpm")).lower()
    missing = [f"{each} is missing" for each in _CONFIGS if not isinstance(config.get(each), dict)]
    if missing or architecture not in published.LANGUAGES:
        wrong = [*missing, architecture][0]
        raise CheckpointError(f"{folder / 'config.json'} is of another architecture than VoxCPM's ({wrong})")
    for names in _FILES:
        found = [folder / each for each in names if (folder / each).is_file()]
        if not found:
            raise CheckpointError(f"{folder} has no {' and no '.join(names)}")
        check_files(found[0])
    codec = config.get("audio_vae_config") or {}
    rate = codec.get("sample_rate", published.ENCODE_RATE) if isinstance(codec, dict) else None
    if type(rate) is not int or not 8_000 <= rate <= 96_000:
        raise CheckpointError(f"{folder / 'config.json'} has no valid sample_rate of its codec")
    denoiser = settings.denoiser and str(existing_folder(settings.denoiser, "KANI_VOXCPM_DENOISER"))
    return {
        "folder": str(folder.resolve()),
        "denoiser": denoiser,
        "architecture": architecture,
        RECORDING_RATE: rate,
    }


PACKAGE = Package(
    "voxcpm",
    PackageEnvironment(
        engine="VoxCPM",
        modules=("msgspec", "numpy", "torch", "voxcpm"),
        packages="voxcpm==2.0.3 msgspec",
        size=TORCH_SIZE,
        licence="Apache-2.0",
    ),
    "kani.engines.voxcpm.adapter:VoxCPM",
    find,
    on_cuda=("nanovllm_voxcpm", "kani.engines.voxcpm.nano_vllm:NanoVLLM"),
)

ENGINE = EnginePlugin("voxcpm", VoxCPMSettings, PACKAGE.engine, PACKAGE.prepare, own_process=False)
