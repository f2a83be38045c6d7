"""Description of Pocket TTS for the server."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.pocket.published import languages_here
from kani.engines.pocket.settings import PocketSettings
from kani.runtime.model_names import local_path

if TYPE_CHECKING:
    from kani.engines.pocket.engine import PocketEngine

_BEYOND_KOKORO = ("de", "nl")


def build(settings: PocketSettings, resources: Resources) -> PocketEngine:
    """Build the engine; torch is imported by its start."""
    from kani.engines.pocket.engine import PocketEngine

    return PocketEngine(settings, resources)


def joins(settings: PocketSettings, resources: Resources) -> tuple[PocketSettings, Resources] | None:
    """Speak the languages that Kokoro was not trained on and that files are here for; fetch none."""
    folder = local_path(settings.model) if settings.model else resources.cache_dir
    wanted = [tag for tag in settings.languages if tag in _BEYOND_KOKORO]
    here = languages_here(folder, wanted, fetched=settings.model is None)
    if not here:
        return None
    return settings.model_copy(update={"languages": here}), replace(resources, may_fetch=False)


ENGINE = EnginePlugin("pocket", PocketSettings, build, joins=joins)
