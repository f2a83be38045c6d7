"""Settings of VoxCPM; its device is the server's (``Resources``)."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, package_python, setting

VOXCPM = "VoxCPM's model"


class VoxCPMSettings(PluginSettings):
    """Settings of the VoxCPM engine, frozen; None stands for its own default."""

    python: str | None = package_python(
        "KANI_VOXCPM_PYTHON", "the package of `--engine voxcpm`", group=VOXCPM, after="pocket_model"
    )
    model: str | None = setting(
        None,
        "KANI_VOXCPM_MODEL",
        group=VOXCPM,
        min_length=1,
        about="Checkpoint of VoxCPM or VoxCPM2: a folder, or the name of one on a model hub (`OWNER/NAME`, "
        "`OWNER/NAME@REVISION`); without a revision the one that was fetched first is kept. Not set: "
        "`openbmb/VoxCPM2` at a pinned revision (5 GB). KANI_DEVICE applies to it, too.",
    )
    denoiser: str | None = setting(
        None,
        "KANI_VOXCPM_DENOISER",
        group=VOXCPM,
        option=False,
        min_length=1,
        about="Folder of the ZipEnhancer model that denoises recordings for `denoise`. Not set: none.",
    )
