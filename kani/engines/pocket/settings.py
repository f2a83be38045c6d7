"""Settings of Pocket TTS."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from kani.engines.plugin_settings import PluginSettings, choices, listed, lower, setting
from kani.engines.pocket.published import PUBLISHED

POCKET = "Pocket TTS"


def _languages(value: Any) -> Any:
    tags = tuple(dict.fromkeys(lower(tag) for tag in listed(value)))
    if not tags or not set(tags) <= PUBLISHED.keys():
        raise ValueError(f"has to be {choices(PUBLISHED)}")
    return tags


class PocketSettings(PluginSettings):
    languages: Annotated[tuple[str, ...], BeforeValidator(_languages)] = setting(
        tuple(PUBLISHED),
        "KANI_POCKET_LANGUAGES",
        group=POCKET,
        after="precision",
        accepts=choices(PUBLISHED),
        about="Languages of `--engine pocket`; each has a model of its own (some 440 MB, in memory too). "
        "With `auto` those of them that Kokoro lacks, if their files are here.",
    )
