"""Settings of Whisper as the recogniser."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, setting

SPEECH = "Speech"
"""The group of the server's own settings."""

MODEL = "KANI_WHISPER_MODEL"


class WhisperSettings(PluginSettings):
    """Settings of the recogniser, frozen; None stands for the embedded model."""

    model: str | None = setting(
        None,
        MODEL,
        group=SPEECH,
        after="recognizer_address",
        min_length=1,
        about="Checkpoint of the recogniser `whisper` in CTranslate2's format: a folder with model.bin, "
        "config.json, tokenizer.json and vocabulary.json or .txt, or the name of one on a model hub "
        "(`OWNER/NAME`, `OWNER/NAME@REVISION`), such as `Systran/faster-whisper-small`; without a revision "
        "the one that was fetched first is kept. Not set: the embedded base.",
    )
