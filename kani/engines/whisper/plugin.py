"""Description of Whisper for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.plugin import RecognizerPlugin, Resources
from kani.engines.whisper.checkpoint.settings import WhisperSettings

if TYPE_CHECKING:
    from kani.engines.whisper.engine import WhisperRecognizer


def build(settings: WhisperSettings, resources: Resources) -> WhisperRecognizer:
    """Build the recogniser; its libraries are imported by its start."""
    from kani.engines.whisper.engine import WhisperRecognizer

    # Its files lie beside the folders of the other engines.
    return WhisperRecognizer(
        models_dir=resources.models_dir,
        cache_dir=resources.cache_dir.parent,
        may_fetch=resources.may_fetch,
        model=settings.model,
        language=resources.language,
    )


RECOGNIZER = RecognizerPlugin("whisper", WhisperSettings, build, describes_itself=True)
