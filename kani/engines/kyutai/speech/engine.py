"""Kyutai's text-to-speech as an engine of the server: its checkpoint, and the process of its package."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

from kani.core.engine import CloningEngine, EngineInfo, StreamingInputEngine
from kani.core.types import Embedding, Recording, Segment, SpeechChunk
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.kyutai.speech import checkpoint, environment
from kani.engines.kyutai.speech.package_engine import RECORDING_S
from kani.engines.plugin import PackageWorker, Resources

if TYPE_CHECKING:
    from kani.text.incremental_text import IncrementalText

ENGINE = "kyutai"
PACKAGE_ENGINE = "kani.engines.kyutai.speech.package_engine"


class KyutaiEngine:
    """Speaks by a worker in the environment of the package. See ``kani.core.engine``."""

    def __init__(self, settings: KyutaiSettings, resources: Resources) -> None:
        """resources: ``host`` starts the worker."""
        self._settings = settings
        self._resources = resources
        self._worker: CloningEngine | None = None

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
        """Check the environment, find or fetch the checkpoint and voices, and start the worker.

        Raises EngineUnavailable, with what is missing and how to install it.
        """
        python = self._settings.python or sys.executable
        pool = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        try:
            settings = await asyncio.get_running_loop().run_in_executor(pool, self._find, python)
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)
        assert self._resources.host is not None  # it is always built in the server's process
        worker = PackageWorker(ENGINE, python, PACKAGE_ENGINE, settings)
        self._worker = self._resources.host.speech_worker(worker, self._resources)
        await self._worker.start()

    def _find(self, python: str) -> dict[str, Any]:
        """Return the settings of the worker's engine."""
        environment.ENVIRONMENT.check(python)
        given, resources = self._settings, self._resources
        cache, may_fetch = resources.cache_dir, resources.may_fetch
        found = checkpoint.find(given.speech_model, cache, may_fetch=may_fetch)
        voices = checkpoint.find_voices(given.voices, found, cache, may_fetch=may_fetch)
        return {
            "folder": str(found.folder.resolve()),
            "voices": None if voices is None else str(voices.resolve()),
            "suffix": found.voice_suffix,
            "slots": given.speech_slots,
            "cfg": given.cfg,
        }

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        if self._worker is not None:
            await self._worker.stop()

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``."""
        return self._started.synthesize(segment)

    def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """See ``StreamingInputEngine.stream``."""
        return cast(StreamingInputEngine, self._started).stream(segment, written)

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``; the worker's environment resamples nothing."""
        # PyAV and soxr, of the server's environment.
        from kani.runtime.recording_embedder import speech_of

        rate = self.info.sample_rate
        samples = await asyncio.to_thread(speech_of, recording, RECORDING_S, rate)
        return await self._started.embed(Recording(samples, rate))

    def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``CloningEngine.refine``."""
        return self._started.refine(recording, embedding, language)
