"""Settings of Moonshine's recogniser; its precision is the server's (``Resources``)."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, setting

SPEECH = "Speech"
"""The group of the server's own settings."""


class MoonshineSettings(PluginSettings):
    """Settings of Moonshine's recogniser, frozen; None stands for its own default."""

    model: str | None = setting(
        None,
        "KANI_MOONSHINE_MODEL",
        group=SPEECH,
        after="recognizer_model",
        min_length=1,
        about="Checkpoint of the recogniser `moonshine`: a folder with config.json, tokenizer.json and "
        "safetensors, or the name of one on a model hub (`OWNER/NAME`, `OWNER/NAME@REVISION`); without a "
        "revision the one that was fetched first is kept. A name that ends with a language, as `-es`, is "
        "that language's, any other English. Not set: `UsefulSensors/moonshine-streaming-small`.",
    )
