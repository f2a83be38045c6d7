"""Settings of VoxCPM; its device is the server's (``Resources``)."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, setting

VOXCPM = "VoxCPM's model"


class VoxCPMSettings(PluginSettings):
    """Settings of the VoxCPM engine, frozen; None stands for its own default."""

    python: str | None = setting(
        None,
        "KANI_VOXCPM_PYTHON",
        group=VOXCPM,
        after="pocket_precision",
        min_length=1,
        about="Python of the environment with the package of `--engine voxcpm`. Not set: the one that "
        "`--fetch` makes, if it is there, else the server's own.",
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
