"""A real, tiny engine: each word is a tone as long as the word, each step can be held back.

It keeps the whole contract of ``speech.engine.Engine`` and shows what no model can: exactly how far
it worked, and whether it was stopped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

import numpy as np

from speech.engine import EngineInfo
from speech.errors import EngineFailed
from speech.types import Segment, Span, SpeechChunk, Voice

RATE = 1000
LETTER_S = 0.1


class ToneEngine:
    """Says a word in ``LETTER_S`` seconds a letter, one word a step; breaks at the word "kaputt".

    ``allow`` is how many steps it may take before it waits for more; None is no bound.
    """

    def __init__(self, *, streams: bool = True, places: int = 1, native: tuple[float, float] = (0.25, 4.0)):
        self.info = EngineInfo(
            name="tone",
            version="1",
            sample_rate=RATE,
            voices=(Voice("tone_es", "Tone", "es", "tone"), Voice("tone_en", "Tone", "en", "tone")),
            default_voices={"es": "tone_es", "en": "tone_en"},
            places=places,
            speed_range=native,
            uses=frozenset({"seed"}),
            streams_inside_segment=streams,
        )
        self.segments: list[Segment] = []
        self.steps = 0
        self.under_way = 0
        self.allow: int | None = None
        self.moved = asyncio.Event()

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to free."""
        assert not self.under_way

    async def permit(self, steps: int | None) -> None:
        """Let it take so many more steps (None: any number), and return once it has."""
        if steps is None:
            self.allow = None
            self.moved.set()
            return
        self.allow = (self.allow or 0) + steps
        goal = self.allow
        self.moved.set()
        while self.steps < goal:
            await asyncio.sleep(0)

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """A chunk for each word."""
        self.segments.append(segment)
        self.under_way += 1
        at_s = 0.0
        try:
            for word in re.finditer(r"[\w%]+", segment.text):
                while self.allow is not None and self.steps >= self.allow:
                    self.moved.clear()
                    await self.moved.wait()
                self.steps += 1
                if word.group() == "kaputt":
                    raise EngineFailed("the tone broke")
                count = round(len(word.group()) * LETTER_S / segment.speed * RATE)
                pitch = 50 + sum(map(ord, word.group())) % 100
                samples = 0.5 * np.sin(2 * np.pi * pitch * np.arange(count) / RATE)
                span = Span(word.start(), word.end(), at_s, at_s + count / RATE)
                yield SpeechChunk(samples.astype(np.float32), RATE, at_s, (span,))
                at_s += count / RATE
        finally:
            self.under_way -= 1
