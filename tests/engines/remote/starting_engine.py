"""An engine for a worker's process: espeak-ng that is told when it may go on with its start."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from kani.engines.espeak.engine import EspeakEngine
from kani.engines.plugin import Resources

STARTING, GO = "the engine starts", "go"
LOOK_AGAIN_S = 0.05


class StartingEngine(EspeakEngine):
    """Logs ``STARTING``, and starts once there is a file ``GO`` in its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._go = folder / GO

    async def start(self) -> None:
        """See ``Engine.start``."""
        logging.getLogger(__name__).warning(STARTING)
        while not self._go.exists():
            await asyncio.sleep(LOOK_AGAIN_S)
        await super().start()


def build(settings: dict[str, object], resources: Resources) -> StartingEngine:
    """See ``kani.engines.remote.messages.Launch``."""
    return StartingEngine(resources.cache_dir)
