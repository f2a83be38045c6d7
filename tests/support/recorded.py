"""An engine that plays a recording."""

from collections.abc import AsyncGenerator

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.types import Samples, Segment, SpeechChunk, Voice

RATE = 24_000


class RecordedEngine:
    """Plays ``samples`` for any segment, in two chunks; ``segments`` are those it was given."""

    def __init__(self, samples: Samples, language: str = "es") -> None:
        self.samples = samples
        self.segments: list[Segment] = []
        voice = Voice("one", "One", language, "recorded")
        self.info = EngineInfo("recorded", "1", RATE, (voice,), {language: "one"})

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        self.segments.append(segment)
        middle = len(self.samples) // 2
        for start, piece in ((0, self.samples[:middle]), (middle, self.samples[middle:])):
            yield SpeechChunk(piece, RATE, start / RATE)


def noise(seconds: float, loudness: float = 0.1) -> Samples:
    """White noise at ``RATE``."""
    return np.random.default_rng(1).normal(0, loudness, round(seconds * RATE)).astype(np.float32)
