"""Description of the Kani model for the server."""

import ctypes
from dataclasses import replace

from kani.engines.plugin import EnginePlugin, Resources, later
from kani.engines.plugin_settings import PluginSettings, setting

KANI = "The Kani model"


class KaniSettings(PluginSettings):
    """Settings of the Kani engine, frozen; None stands for the model's own default."""

    codec: str | None = setting(
        None,
        "KANI_CODEC",
        group=KANI,
        after="recognizer_model",
        min_length=1,
        about="NanoCodec: a .nemo file, or a hub's name. Not set: "
        "`nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps`.",
    )
    embedder: str | None = setting(
        None,
        "KANI_EMBEDDER",
        min_length=1,
        about="Model of KaniTTS-2's speaker embeddings: a folder, or a name on a model hub "
        "(1.3 GB, fetched once). Not set: `nineninesix/speaker-emb-tbr`.",
    )


_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
"""Libraries of CUDA's driver, on Linux and on Windows."""


def cuda_device_count() -> int:
    """Count the CUDA devices of this machine, as its driver reports them; 0 without a driver."""
    for name in _DRIVERS:
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0:
            return count.value
    return 0


def joins(settings: KaniSettings, resources: Resources) -> tuple[KaniSettings, Resources] | None:
    """Run on a CUDA device, never on the CPU: there it would be slower than the voice that it replaces."""
    if not cuda_device_count():
        return None
    return settings, replace(resources, device="cuda" if resources.device == "auto" else resources.device)


ENGINE = EnginePlugin("kani", KaniSettings, later("kani.engines.kani.engine:KaniEngine"), joins=joins)
