"""Description of Moonshine's recogniser for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.moonshine.settings import MoonshineSettings
from kani.engines.plugin import RecognizerPlugin, Resources

if TYPE_CHECKING:
    from kani.engines.moonshine.engine import MoonshineRecognizer


def build(settings: MoonshineSettings, resources: Resources) -> MoonshineRecognizer:
    """Build the recogniser; torch is imported by its start. Raises EngineUnavailable."""
    from kani.engines.moonshine.engine import MoonshineRecognizer

    return MoonshineRecognizer(settings, resources)


RECOGNIZER = RecognizerPlugin("moonshine", MoonshineSettings, build, describes_itself=True)
