"""VoxCPM as an engine of the server: its checkpoint, and the process that its package runs in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

from kani.core.engine import CloningEngine, EngineInfo
from kani.core.types import Embedding, Recording, Segment, SpeechChunk
from kani.engines.plugin import Resources
from kani.engines.voxcpm import checkpoint, environment
from kani.engines.voxcpm.settings import VoxCPMSettings

ENGINE = "voxcpm"
PACKAGE_ENGINE = "kani.engines.voxcpm.package_engine"
MAX_RECORDING_S = 60.0
"""Seconds of a recording that are used: all of the longest one, as its transcript has all its words."""


class VoxCPMEngine:
    """Speaks by a worker in the environment of the package. See ``kani.core.engine.CloningEngine``."""

    def __init__(self, settings: VoxCPMSettings, resources: Resources) -> None:
        """resources: ``host`` starts the worker."""
        self._settings = settings
        self._resources = resources
        self._worker: CloningEngine | None = None
        self._encode_rate = 0

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        return self._started.info

    @property
    def _started(self) -> CloningEngine:
        if self._worker is None:
            raise RuntimeError("the engine has not started")
        return self._worker

    async def start(self) -> None:
        """Check the environment, find or fetch the checkpoint, and start the worker.

        Raises EngineUnavailable, with what is missing and how to install it.
        """
        python = self._settings.python or sys.executable
        pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        try:
            found = await asyncio.get_running_loop().run_in_executor(pool, self._find, python)
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)
        self._encode_rate = found.encode_rate
        assert self._resources.host is not None  # it is always built in the server's process
        settings = {"folder": str(found.folder.resolve()), "denoiser": self._settings.denoiser}
        self._worker = self._resources.host.worker(ENGINE, python, PACKAGE_ENGINE, settings, self._resources)
        await self._worker.start()

    def _find(self, python: str) -> checkpoint.Checkpoint:
        environment.ENVIRONMENT.check(python)
        resources = self._resources
        return checkpoint.find(self._settings.model, resources.cache_dir, may_fetch=resources.may_fetch)

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        if self._worker is not None:
            await self._worker.stop()

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``."""
        return self._started.synthesize(segment)

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``; the worker's environment resamples nothing."""
        # PyAV and soxr, of the server's environment.
        from kani.runtime.recording_embedder import speech_of

        samples = await asyncio.to_thread(speech_of, recording, MAX_RECORDING_S, self._encode_rate)
        return await self._started.embed(Recording(samples, self._encode_rate))

    def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``CloningEngine.refine``."""
        return self._started.refine(recording, embedding, language)
