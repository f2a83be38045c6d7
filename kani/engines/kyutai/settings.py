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
    cfg: float = setting(
        2.0,
        "KANI_KYUTAI_CFG",
        group=TEXT_TO_SPEECH,
        ge=1.0,
        le=4.0,
        about="Weight of text and voice against free generation. `kyutai/tts-1.6b-en_fr` knows 1 to 4 in "
        "steps of 0.5; `kyutai/tts-0.75b-en-public` computes each step twice, unless it is 1.",
    )
    speech_slots: int | None = setting(
        None,
        "KANI_KYUTAI_SLOTS",
        group=TEXT_TO_SPEECH,
        option=False,
        unit="segments",
        ge=1,
        le=64,
        about="Segments that it speaks at once, in turns; as many texts again may wait for their next words. "
        "Not set: 1, on CUDA 4.",
    )
