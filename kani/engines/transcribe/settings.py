"""Settings of the recogniser of GGUF files."""

from __future__ import annotations

from kani.engines.plugin_settings import PluginSettings, package_python, setting

SPEECH = "Speech"
"""The group of the server's own settings."""

MODEL, LANGUAGE, PYTHON = "KANI_TRANSCRIBE_MODEL", "KANI_TRANSCRIBE_LANGUAGE", "KANI_TRANSCRIBE_PYTHON"


class TranscribeSettings(PluginSettings):
    """Settings of the recogniser, frozen; None stands for its own default."""

    model: str | None = setting(
        None,
        MODEL,
        group=SPEECH,
        after="recognizer_address",
        min_length=1,
        about="Model of the recogniser `transcribe`, which has no default: a GGUF file of transcribe.cpp, or "
        "the name of a model hub's repository (`OWNER/NAME`, `OWNER/NAME@REVISION`), of which the file in "
        "Q8_0 is taken; without a revision the one that was fetched first is kept.",
    )
    language: str | None = setting(
        None,
        LANGUAGE,
        group=SPEECH,
        min_length=2,
        about="Language (`es`) of speech whose client names none. Not set: it is detected; a model that has "
        "several and detects none, as Canary, refuses such speech.",
    )
    python: str | None = package_python(PYTHON, "transcribe-cpp", group=SPEECH)
