"""Settings of the Kani model; its checkpoint, voices, device … are the server's (``Resources``)."""

from __future__ import annotations

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
