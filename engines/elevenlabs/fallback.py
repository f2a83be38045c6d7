"""Who speaks in ElevenLabs' place."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from engines.elevenlabs.messages import SAMPLE_RATE
from engines.elevenlabs.meter import UpstreamMeter
from engines.elevenlabs.text import SegmentText
from speech.audio.pcm import reframe
from speech.engine import Engine, StreamingInputEngine
from speech.text.languages import primary
from speech.types import Segment, SpeechChunk

ACTIVE_S = 30.0
"""For so long after a failure ElevenLabs is not asked again: nobody shall wait for it in every sentence."""

logger = logging.getLogger(__name__)


class Fallback:
    """An engine of this machine that speaks what ElevenLabs could not, with its own default voices."""

    def __init__(self, engine: Engine, meter: UpstreamMeter) -> None:
        self.engine = engine
        self._meter = meter
        self._until = 0.0

    @property
    def active(self) -> bool:
        """Whether ElevenLabs failed a moment ago."""
        return time.monotonic() < self._until

    def activate(self) -> None:
        """ElevenLabs has failed."""
        self._until = time.monotonic() + ACTIVE_S

    def supports(self, language: str) -> bool:
        """Whether it knows ``language`` (BCP 47)."""
        return primary(language) in self.engine.info.default_voices

    async def synthesize(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        """Speak ``text`` from its start; as ``Engine.synthesize``, at ElevenLabs' sample rate."""
        info = self.engine.info
        logger.warning("%s speaks a segment in ElevenLabs' place", info.name)
        self._meter.count_fallback(info.name)
        await text.regain_slot()
        own = replace(segment, voice=info.default_voices[primary(segment.language)])
        async with aclosing(self._spoken(own, text)) as spoken:
            async for chunk in reframe(spoken, SAMPLE_RATE, SAMPLE_RATE):
                yield chunk

    async def _spoken(self, segment: Segment, text: SegmentText) -> AsyncGenerator[SpeechChunk, None]:
        written = text.incremental_text
        if written is not None and self.engine.info.accepts_partial_text:
            speech = cast(StreamingInputEngine, self.engine).stream(segment, written)
        else:
            while written is not None and written.boundary is None:
                await written.wait_for_more(len(written.text))
            whole = replace(segment, text=text.text, boundary=text.boundary or segment.boundary)
            speech = self.engine.synthesize(whole)
        async with aclosing(speech) as chunks:
            async for chunk in chunks:
                yield chunk
