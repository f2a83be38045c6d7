"""Settings of Kyutai's recogniser; its device and precision are the server's (``Resources``)."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, setting

SPEECH = "Speech"
"""The group of the server's own settings."""


class KyutaiSettings(PluginSettings):
    """Settings of Kyutai's recogniser, frozen; None stands for its own default."""

    model: str | None = setting(
        None,
        "KANI_RECOGNIZER_MODEL",
        group=SPEECH,
        after="recognizer_address",
        min_length=1,
        about="Checkpoint of the recogniser `kyutai`: a folder with config.json, the tokenizer and "
        "safetensors, or the name of one on a model hub (`OWNER/NAME`, `OWNER/NAME@REVISION`); without a "
        "revision the one that was fetched first is kept. Not set: `kyutai/stt-1b-en_fr-trfs`. "
        "KANI_DEVICE and KANI_PRECISION apply to it, too.",
    )
    slots: int | None = setting(
        None,
        "KANI_RECOGNIZER_SLOTS",
        group=SPEECH,
        option=False,
        unit="streams",
        ge=1,
        le=1024,
        about="Streams that the recogniser `kyutai` hears at once; one more waits 10 s for a place. Not set: "
        "4, on CUDA 64. Their memory is taken at its start.",
    )
