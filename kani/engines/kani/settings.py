"""Settings of the Kani model; its device, precision, threads and slots are the server's (``Resources``)."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, setting

KANI = "The Kani model"


class KaniSettings(PluginSettings):
    """Settings of the Kani engine, frozen; None stands for the model's own default."""

    model: str | None = setting(
        None,
        "KANI_MODEL",
        group=KANI,
        after="recognizer_address",
        min_length=1,
        about="Checkpoint of the Kani model: a folder with config.json, the tokenizer and safetensors, or "
        "the name of one on a model hub (`OWNER/NAME`, `OWNER/NAME@REVISION`); without a revision the one "
        "that was fetched first is kept. Not set: `nineninesix/kani-tts-370m`, with KANI_LANGUAGE=es "
        "`nineninesix/kani-tts-400m-es`.",
    )
    voices: str | None = setting(
        None,
        "KANI_KANI_VOICES",
        group=KANI,
        option=False,
        min_length=1,
        about="Folder with voices of KaniTTS-2: `NAME.pt` or `NAME.npy`, each of 128 numbers.",
    )
    codec: str | None = setting(
        None,
        "KANI_CODEC",
        group=KANI,
        min_length=1,
        about="NanoCodec: a .nemo file, or a hub's name. Not set: "
        "`nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps`.",
    )
    embedder: str | None = setting(
        None,
        "KANI_EMBEDDER",
        group=KANI,
        min_length=1,
        about="Model of KaniTTS-2's speaker embeddings: a folder, or a name on a model hub "
        "(1.3 GB, fetched once). Not set: `nineninesix/speaker-emb-tbr`.",
    )
