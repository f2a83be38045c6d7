"""An engine by itself, as the server builds it, without the server."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import numpy as np
from prometheus_client import CollectorRegistry

from benchmarks import report
from server import settings
from speech.engine import BackgroundLoadingEngine, Engine
from speech.types import Samples, Segment
from websocket_server import build_engines

THREADS = os.cpu_count() or 1
"""Threads that an engine computes with, everywhere in the benchmarks: one a core."""


@dataclass(frozen=True, slots=True)
class TimedSpeech:
    """One segment: seconds to the engine's first chunk and to its last, and the speech."""

    first_s: float
    whole_s: float
    samples: Samples
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """The audio's length."""
        return len(self.samples) / self.sample_rate


@asynccontextmanager
async def started_engine(name: str) -> AsyncIterator[Engine]:
    """The engine of that name ("kokoro", "espeak"), with the settings that a server would read.

    Kokoro's decoder is settled, and the report names it.
    """
    chosen = settings.load({"engine": name, "threads": THREADS})
    (engine,) = build_engines(chosen, CollectorRegistry()).required
    await engine.start()
    try:
        if isinstance(engine, BackgroundLoadingEngine):
            await engine.wait_until_loaded()
            report.note(f"decoder {engine.info.decoder} of the engine alone")
        yield engine
    finally:
        await engine.stop()


async def speak(engine: Engine, language: str, text: str) -> TimedSpeech:
    """Let ``engine`` say ``text`` as one segment, in its default voice of the language."""
    segment = Segment(text, engine.info.default_voices[language], language)
    chunks: list[Samples] = []
    begun = time.perf_counter()
    first_s = 0.0
    async with aclosing(engine.synthesize(segment)) as stream:
        async for chunk in stream:
            if not chunks:
                first_s = time.perf_counter() - begun
            chunks.append(chunk.samples)
    whole_s = time.perf_counter() - begun
    return TimedSpeech(first_s, whole_s, np.concatenate(chunks), engine.info.sample_rate)
