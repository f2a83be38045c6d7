"""A package's adapter that is told when it may go on with its start."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from kani.core.engine import EngineInfo
from kani.core.types import Voice
from kani.engines.plugin import Resources

STARTING, GO = "the engine starts", "go"
LOOK_AGAIN_S = 0.05


class StartingEngine:
    """Logs ``STARTING``, and is loaded once there is a file ``GO`` in its folder."""

    cure = ""

    async def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        """See ``SpeechAdapter.load``."""
        logging.getLogger(__name__).warning(STARTING)
        while not (resources.cache_dir / GO).exists():
            await asyncio.sleep(LOOK_AGAIN_S)
        voice = Voice("espeak:en", "en", "en", "espeak")
        return EngineInfo("espeak", "1", 22_050, (voice,), {"en": voice.id})
