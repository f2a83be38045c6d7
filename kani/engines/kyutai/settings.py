"""Settings of Kyutai's recogniser and text-to-speech; devices and precision are the server's."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, package_python, setting

SPEECH = "Speech"
"""The group of the server's own settings."""

TEXT_TO_SPEECH = "Kyutai's text-to-speech"


class KyutaiSettings(PluginSettings):
    """Settings of both, frozen; None stands for the default of each."""

    model: str | None = setting(
        None,
        "KANI_RECOGNIZER_MODEL",
        group=SPEECH,
        after="recognizer_address",
        min_length=1,
        about="Checkpoint of the recogniser `kyutai`: a folder with config.json, the tokenizer and "
        "safetensors, or the name of one on a model hub (`OWNER/NAME`, `OWNER/NAME@REVISION`); without a "
        "revision the one that was fetched first is kept. Not set: `kyutai/stt-1b-en_fr`. "
        "KANI_DEVICE and KANI_PRECISION (float32, bfloat16) apply to it, too.",
    )
    python: str | None = package_python(
        "KANI_KYUTAI_PYTHON",
        "the package of `--engine kyutai` and `--recognizer kyutai` (`python3 -m venv moshi && "
        "moshi/bin/pip install -r requirements-kyutai.txt`: `moshi/bin/python`)",
        group=TEXT_TO_SPEECH,
        after="voxcpm_denoiser",
    )
    speech_model: str | None = setting(
        None,
        "KANI_KYUTAI_MODEL",
        group=TEXT_TO_SPEECH,
        min_length=1,
        about="Checkpoint of `--engine kyutai`: a folder, or the name of one on a model hub (`OWNER/NAME`, "
        "`OWNER/NAME@REVISION`); without a revision the one that was fetched first is kept. Not set: "
        "`kyutai/tts-1.6b-en_fr` (4.1 GB). KANI_DEVICE and KANI_PRECISION (float32, bfloat16) apply to it, "
        "too.",
    )
    voices: str | None = setting(
        None,
        "KANI_KYUTAI_VOICES",
        group=TEXT_TO_SPEECH,
        min_length=1,
        about="Folder of its voices: published embeddings of that checkpoint, or, for "
        "`kyutai/tts-0.75b-en-public`, recordings. Not set: the embeddings of Unmute's voices are fetched, "
        "recordings are not.",
    )
