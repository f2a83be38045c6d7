"""Settings of Pocket TTS."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from kani.engines.plugin_settings import PluginSettings, setting

POCKET = "Pocket TTS"

LANGUAGES = ("en", "fr", "de", "es", "it", "pt", "nl")
"""Languages that it is published for; a model for each."""

CHOICES = f"a list of {', '.join(LANGUAGES)}, separated by commas"


def _languages(value: Any) -> Any:
    tags = value.split(",") if isinstance(value, str) else value
    listed = tuple(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))
    if not listed or not set(listed) <= set(LANGUAGES):
        raise ValueError(f"has to be {CHOICES}")
    return listed


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Languages = Annotated[tuple[str, ...], BeforeValidator(_languages)]
Precision = Annotated[Literal["auto", "float32", "int8"], BeforeValidator(_lower)]


class PocketSettings(PluginSettings):
    """Settings of the Pocket TTS engine, frozen."""

    languages: Languages = setting(
        LANGUAGES,
        "KANI_POCKET_LANGUAGES",
        group=POCKET,
        accepts=CHOICES,
        about="Languages of `--engine pocket`; each has a model of its own (some 440 MB, in memory too). "
        "With `auto` those of them that Kokoro lacks, if their files are here.",
    )
    model: str | None = setting(
        None,
        "KANI_POCKET_MODEL",
        group=POCKET,
        min_length=1,
        about="Folder that holds `languages/NAME/` with model.safetensors, tokenizer.json and embeddings/, "
        "as the hub's repositories do. Not set: the pinned checkpoints of `kyutai/pocket-tts`.",
    )
    precision: Precision = setting(
        "auto",
        "KANI_POCKET_PRECISION",
        group=POCKET,
        option=False,
        about="Precision of its language model. `auto` is int8 on a CPU that can; float32 is exact.",
    )
    slots: int = setting(
        8,
        "KANI_POCKET_SLOTS",
        group=POCKET,
        option=False,
        unit="streams",
        ge=1,
        le=256,
        about="Streams that it speaks at once.",
    )
