"""Synthesises with another engine what a service fails to speak."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from kani.core.audio.resampling import reframe
from kani.core.engine import Engine, StreamingInputEngine
from kani.core.types import Segment, SpeechChunk
from kani.engines.upstream.failures import UpstreamMetrics
from kani.engines.upstream.text import SegmentText
from kani.text.languages import primary

ACTIVE_S = 30.0
"""The service is not tried for so many seconds after a failure: each sentence would wait for it to fail."""

logger = logging.getLogger(__name__)


class Fallback:
    """An engine of this machine that speaks in a service's place, with its own default voices."""

    def __init__(self, engine: Engine, metrics: UpstreamMetrics, sample_rate: int) -> None:
        """sample_rate: of the service (hertz), at which the engine's audio is given out too."""
        self.engine = engine
        self._metrics = metrics
        self._sample_rate = sample_rate
        self._active_until_s = 0.0

    @property
    def active(self) -> bool:
        """True if the service failed within the last ``ACTIVE_S`` seconds, and is not to be tried."""
        return time.monotonic() < self._active_until_s

    def activate(self) -> None:
        """Speak everything for the next ``ACTIVE_S`` seconds."""
        self._active_until_s = time.monotonic() + ACTIVE_S

    def supports(self, language: str) -> bool:
        return primary(language) in self.engine.info.default_voices

    async def synthesize(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        """Speak ``text`` from its start; as ``Engine.synthesize``, at the service's sample rate."""
        info = self.engine.info
        logger.warning("%s failed: falling back to %s for one segment", self._metrics.service, info.name)
        self._metrics.count_fallback(info.name)
        await text.regain_slot()
        own = replace(segment, voice=info.default_voices[primary(segment.language)])
        async with aclosing(self._speech(own, text)) as speech:
            async for chunk in reframe(speech, self._sample_rate, self._sample_rate):
                yield chunk

    async def _speech(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        """Speak at the engine's own rate; an engine that needs all of the text waits for its end."""
        incremental = text.incremental_text
        if incremental is not None and self.engine.info.accepts_partial_text:
            speech = cast(StreamingInputEngine, self.engine).stream(segment, incremental)
        else:
            while incremental is not None and incremental.boundary is None:
                await incremental.wait_for_more(len(incremental.text))
            whole = replace(segment, text=text.text, boundary=text.boundary or segment.boundary)
            speech = self.engine.synthesize(whole)
        async with aclosing(speech) as chunks:
            async for chunk in chunks:
                yield chunk
