"""Settings of VoxCPM; its device is the server's (``Resources``)."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, setting

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
