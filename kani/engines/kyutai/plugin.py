"""Description of Kyutai's recogniser and text-to-speech for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources

if TYPE_CHECKING:
    from kani.engines.kyutai.engine import KyutaiRecognizer
    from kani.engines.kyutai.speech.engine import KyutaiEngine


def build(settings: KyutaiSettings, resources: Resources) -> KyutaiRecognizer:
    """Build the recogniser; torch is imported by its start. Raises EngineUnavailable."""
    from kani.engines.kyutai.engine import KyutaiRecognizer

    return KyutaiRecognizer(settings, resources)


def build_engine(settings: KyutaiSettings, resources: Resources) -> KyutaiEngine:
    """Build the engine; its start starts the process of its package."""
    from kani.engines.kyutai.speech.engine import KyutaiEngine

    return KyutaiEngine(settings, resources)


RECOGNIZER = RecognizerPlugin("kyutai", KyutaiSettings, build, describes_itself=True)
ENGINE = EnginePlugin("kyutai", KyutaiSettings, build_engine, own_process=False)
