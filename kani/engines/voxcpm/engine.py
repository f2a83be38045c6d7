"""VoxCPM as an engine of the server: its checkpoint, and the process that its package runs in."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from kani.core.types import Embedding, Recording
from kani.engines.remote.connectors import ChildWorker
from kani.engines.remote.engine import RemoteEngine
from kani.engines.remote.link import Link
from kani.engines.remote.messages import Launch
from kani.engines.settings import LocalEngines
from kani.engines.voxcpm import checkpoint, environment

ENGINE = "voxcpm"
MAX_RECORDING_S = 60.0
"""Seconds of a recording that are used: all of the longest one, as its transcript has all its words."""


class VoxCPMEngine(RemoteEngine):
    """Speaks by a worker in the environment of the package."""

    def __init__(self, settings: LocalEngines, count: Callable[[], None]) -> None:
        """count: called each time that the worker is started again."""
        super().__init__(ENGINE)
        self._settings = settings
        self._count = count
        self._started = False
        self._encode_rate = 0

    async def start(self) -> None:
        """Check the environment, find or fetch the checkpoint, and start the worker.

        Raises EngineUnavailable, with what is missing and how to install it.
        """
        voxcpm = self._settings.voxcpm
        python = voxcpm.python or sys.executable
        pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        try:
            found = await asyncio.get_running_loop().run_in_executor(pool, self._find, python)
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)
        self._encode_rate = found.encode_rate
        settings = replace(self._settings, voxcpm=replace(voxcpm, model=str(found.folder.resolve())))
        launch = Launch(ENGINE, logging.getLogger().getEffectiveLevel(), engines=settings)
        self.use(Link(ChildWorker(launch, self.changed, self._count, python=python)))
        self._started = True
        await super().start()

    def _find(self, python: str) -> checkpoint.Checkpoint:
        environment.check(python)
        return checkpoint.find(self._settings.voxcpm, self._settings.cache_dir / ENGINE)

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        if self._started:
            await super().stop()

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``; the worker's environment resamples nothing."""
        # PyAV and soxr, of the server's environment.
        from kani.runtime.recording_embedder import speech_of

        samples = await asyncio.to_thread(speech_of, recording, MAX_RECORDING_S, self._encode_rate)
        return await super().embed(Recording(samples, self._encode_rate))
