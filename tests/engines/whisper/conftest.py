"""Speech to be recognised: Kokoro's, made once, at 16 kHz."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soxr

from engines.kokoro.engine import KokoroEngine, KokoroSettings
from speech.types import Samples, Segment

RATE = 16_000

SENTENCES = {
    "es": ("ef_dora", "El médico me recomendó caminar media hora todos los días."),
    "en": ("af_heart", "The old bakery opens early in the morning."),
    "fr": ("ff_siwis", "Nous mangerons ensemble ce soir à la maison."),
}


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A sentence, its samples at ``RATE``, and when each word begins, in seconds."""

    language: str
    text: str
    samples: Samples
    starts_s: tuple[float, ...]


def silence(seconds: float) -> Samples:
    """So many seconds of zeros."""
    return np.zeros(round(seconds * RATE), np.float32)


@pytest.fixture(scope="session")
def said(cache: Path) -> Iterator[dict[str, Said]]:
    """One sentence in each of three languages."""

    async def say() -> dict[str, Said]:
        engine = KokoroEngine(KokoroSettings(models_dir=None, cache_dir=cache, decoder="auto"))
        await engine.start()
        await engine.wait_until_loaded()
        made = {}
        for language, (voice, text) in SENTENCES.items():
            chunks = [chunk async for chunk in engine.synthesize(Segment(text, voice, language))]
            whole = np.concatenate([chunk.samples for chunk in chunks])
            samples = soxr.resample(whole, chunks[0].sample_rate, RATE).astype(np.float32)
            starts = tuple(span.start_s for chunk in chunks for span in chunk.spans)
            made[language] = Said(language, text, samples, starts)
        await engine.stop()
        return made

    yield asyncio.run(say())


@pytest.fixture(scope="session")
def speech(said: dict[str, Said]) -> Samples:
    """Some of it."""
    return said["en"].samples


@pytest.fixture(scope="session")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with nothing in it."""
    return tmp_path_factory.mktemp("nowhere")
