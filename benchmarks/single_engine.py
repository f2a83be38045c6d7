"""A single engine as the server builds it, without the server."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kani.composition import settings
from kani.composition.speech_service import Builder
from kani.core.engine import Engine
from kani.core.observer import Observer
from kani.core.service import Parts, SpeechService
from kani.core.session.admission import Limits
from kani.core.types import Samples, Segment
from kani.core.voices.catalogue import VoiceStore
from kani.engines.kokoro.engine import KokoroEngine
from tests.support.kokoro import measured

THREADS = os.cpu_count() or 1
"""Threads of an engine in all benchmarks: one a core."""


@dataclass(frozen=True, slots=True)
class TimedSpeech:
    """One segment: its speech, and the seconds to the engine's first and last chunk."""

    first_s: float
    whole_s: float
    samples: Samples
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """Length of the audio."""
        return len(self.samples) / self.sample_rate


@asynccontextmanager
async def started_engine(name: str) -> AsyncIterator[Engine]:
    """Yield the engine of that name ("kokoro", "espeak") with the settings of a server, started.

    Kokoro has measured its speed.
    """
    chosen = settings.load({"engine": name, "threads": THREADS})
    (engine,) = Builder(chosen).engines().required
    await engine.start()
    try:
        if isinstance(engine, KokoroEngine):
            await measured(engine)
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def service_of(engine: Engine) -> AsyncIterator[SpeechService]:
    """Yield a speech service over a started engine, with the default limits and no stored voices."""
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(default_language="es")
        service = SpeechService([engine], VoiceStore(Path(folder)), Limits(), Observer(), parts)
        await service.start()
        yield service


async def speak(engine: Engine, language: str, text: str) -> TimedSpeech:
    """Synthesize ``text`` as one segment, in the engine's default voice of the language."""
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
