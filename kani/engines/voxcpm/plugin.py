"""Description of VoxCPM for the server; it finds a checkpoint, and checks it before the package reads it."""

from __future__ import annotations

from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.packages.package import Package
from kani.engines.plugin import RECORDING_RATE, EnginePlugin, Resources
from kani.engines.voxcpm import published
from kani.engines.voxcpm.settings import VoxCPMSettings
from kani.runtime.model_names import local_path
from kani.runtime.packages.environment import PackageEnvironment

_FILES = (
    ("model.safetensors", "pytorch_model.bin"),
    ("audiovae.safetensors", "audiovae.pth"),
    ("tokenizer.json", "tokenizer.model"),
)
"""Files of a checkpoint, each by one of the names."""

_CONFIGS = ("lm_config", "encoder_config", "dit_config")


def find(settings: VoxCPMSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings: the checkpoint that the settings name, fetched if it may be.

    Raises EngineUnavailable, naming the file and the cure: the package would load what it can.
    """
    name = settings.model or published.DEFAULT_MODEL
    folder = local_path(name)
    if not folder.is_dir():
        files = published.DEFAULT_FILES if name == published.DEFAULT_MODEL else published.FILES
        folder = PACKAGE.fetched(name, files, resources)
    config, cure = PACKAGE.config(folder), PACKAGE.cure
    architecture = str(config.get("architecture", "voxcpm")).lower()
    missing = [f"{each} is missing" for each in _CONFIGS if not isinstance(config.get(each), dict)]
    if missing or architecture not in published.LANGUAGES:
        raise EngineUnavailable(
            f"{folder / 'config.json'} is of another architecture than VoxCPM's "
            f"({[*missing, architecture][0]}): {cure}"
        )
    for names in _FILES:
        found = [folder / each for each in names if (folder / each).is_file()]
        if not found:
            raise EngineUnavailable(f"{folder} has no {' and no '.join(names)}: {cure}")
        PACKAGE.check(found[0])
    codec = config.get("audio_vae_config") or {}
    rate = codec.get("sample_rate", published.ENCODE_RATE) if isinstance(codec, dict) else None
    if type(rate) is not int or not 8_000 <= rate <= 96_000:
        raise EngineUnavailable(f"{folder / 'config.json'} has no valid sample_rate of its codec: {cure}")
    return {
        "folder": str(folder.resolve()),
        "denoiser": settings.denoiser,
        "architecture": architecture,
        RECORDING_RATE: rate,
    }


PACKAGE = Package(
    "voxcpm",
    PackageEnvironment(
        engine="VoxCPM",
        package="voxcpm",
        modules=("msgspec", "numpy", "torch", "voxcpm"),
        requirements="requirements-voxcpm.txt",
        packages="voxcpm==2.0.3 msgspec",
        variable="KANI_VOXCPM_PYTHON",
        size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
        licence="Apache-2.0",
    ),
    "kani.engines.voxcpm.adapter:VoxCPM",
    find,
    "KANI_VOXCPM_MODEL",
    on_cuda=("nanovllm_voxcpm", "kani.engines.voxcpm.nano_vllm:NanoVLLM"),
)


ENGINE = EnginePlugin("voxcpm", VoxCPMSettings, PACKAGE.engine, PACKAGE.prepare, own_process=False)
