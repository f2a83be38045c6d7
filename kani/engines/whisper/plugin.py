"""Description of Whisper for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin import RecognizerPlugin, Resources
from kani.engines.plugin_settings import PluginSettings

if TYPE_CHECKING:
    from kani.engines.whisper.engine import WhisperRecognizer


def build(settings: PluginSettings, resources: Resources) -> WhisperRecognizer:
    """Build the recogniser; its libraries are imported by its start."""
    from kani.engines.whisper.engine import WhisperRecognizer

    # Its files lie beside the folders of the other engines.
    return WhisperRecognizer(
        models_dir=resources.models_dir,
        cache_dir=resources.cache_dir.parent,
        may_fetch=resources.may_fetch,
        model=resources.model,
        language=resources.language,
    )


RECOGNIZER = RecognizerPlugin("whisper", PluginSettings, build, describes_itself=True)
