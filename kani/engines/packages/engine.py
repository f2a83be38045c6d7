"""A maker's package as an engine of the server: its files, and the process that speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, cast

from kani.core.engine import CloningEngine, EngineInfo, StreamingInputEngine
from kani.core.types import Embedding, Recording, Segment, SpeechChunk
from kani.engines.packages.package import Packaged
from kani.engines.plugin import RECORDING_RATE

if TYPE_CHECKING:
    from kani_text.incremental_text import IncrementalText


class PackageEngine(Packaged[CloningEngine]):
    """Speaks by a worker in the environment of a package. See ``kani.core.engine``."""

    @property
    def info(self) -> EngineInfo:
        return self._started.info

    async def start(self) -> None:
        await self._start_worker(lambda host, found: host.speech_worker(found, self._resources))

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        return self._started.synthesize(segment)

    def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        return cast(StreamingInputEngine, self._started).stream(segment, written)

    async def embed(self, recording: Recording) -> Embedding:
        # PyAV and soxr, which the worker's environment lacks.
        from kani.runtime.recorded_speech import speech_of

        rate = self._found.settings.get(RECORDING_RATE, self.info.sample_rate)
        samples = await asyncio.to_thread(speech_of, recording, self._package.recording_s, rate)
        return await self._started.embed(Recording(samples, rate))
