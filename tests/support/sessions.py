"""Speech sessions over tone engines: a service, and what its sessions give."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.engine import Engine
from kani.core.observer import Observer
from kani.core.service import Parts, SpeechService
from kani.core.session.admission import Limits
from kani.core.session.context import Terms
from kani.core.session.session import SpeechSession
from kani.core.types import Span, SpeechChunk, SpeechRequest
from kani.core.voices.catalogue import VoiceStore
from tests.support.tone import RATE, ToneEngine

SPANISH = SpeechRequest(language="es")


def build(folder: Path, *engines: Engine, limits: Limits | None = None, **settings: Any) -> SpeechService:
    """A service that has not started, in Spanish unless ``settings`` say otherwise."""
    observer, parts = settings.pop("observer", None) or Observer(), {"default_language": "es"} | settings
    return SpeechService(engines, VoiceStore(folder), limits or Limits(), observer, Parts(**parts))


@asynccontextmanager
async def started(folder: Path, *engines: Engine, **settings: Any) -> AsyncIterator[SpeechService]:
    """A service as ``build`` makes it, which runs while the body does."""
    service = build(folder, *engines, **settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def serving(
    engine: ToneEngine, folder: Path, observer: Observer | None = None, **limits: float
) -> AsyncIterator[SpeechService]:
    """A service over one engine; when it ends, nothing is left of any session."""
    observed: dict[str, Any] = {"limits": Limits(**limits), "observer": observer or Observer()}  # type: ignore[arg-type]
    async with started(folder, engine, **observed) as service:
        before = asyncio.all_tasks() - {asyncio.current_task()}
        yield service
        assert (service.state().sessions, service.state().slots_in_use, service.state().waiting) == (0, 0, 0)
        assert engine.under_way == 0
        assert asyncio.all_tasks() - {asyncio.current_task()} == before


@asynccontextmanager
async def fed(
    service: SpeechService, text: str, request: SpeechRequest = SPANISH, **how: Any
) -> AsyncIterator[SpeechSession]:
    """A session that has all of its text. how: fields of ``Terms``, or parameters of ``open``."""
    terms = Terms(**{name: how.pop(name) for name in [*how] if name in Terms.__slots__})
    async with service.open(request, protocol="test", terms=terms, **how) as session:
        session.feed(text)
        session.finish()
        yield session


async def collect(session: SpeechSession) -> list[SpeechChunk]:
    return [chunk async for chunk in session]


async def speak(service: SpeechService, text: str, request: SpeechRequest = SPANISH) -> list[SpeechChunk]:
    async with fed(service, text, request) as session:
        return await collect(session)


def audio(chunks: list[SpeechChunk]) -> np.ndarray:
    return np.concatenate([chunk.samples for chunk in chunks]) if chunks else np.zeros(0, np.float32)


def silent(chunks: list[SpeechChunk], start_s: float, end_s: float) -> bool:
    """True if the audio is silent from start_s to end_s."""
    return not audio(chunks)[round(start_s * RATE) : round(end_s * RATE)].any()


def spans_of(chunks: list[SpeechChunk]) -> list[Span]:
    return [span for chunk in chunks for span in chunk.spans]
