"""Description of Kyutai's recogniser for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.plugin import RecognizerPlugin, Resources

if TYPE_CHECKING:
    from kani.engines.kyutai.engine import KyutaiRecognizer


def build(settings: KyutaiSettings, resources: Resources) -> KyutaiRecognizer:
    """Build the recogniser; torch is imported by its start. Raises EngineUnavailable."""
    from kani.engines.kyutai.engine import KyutaiRecognizer

    return KyutaiRecognizer(settings, resources)


RECOGNIZER = RecognizerPlugin("kyutai", KyutaiSettings, build, describes_itself=True)
