"""Speech for the recogniser: Kokoro's, synthesised once, at 16 kHz."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soxr

from engines.kokoro.engine import KokoroEngine
from speech.types import Samples, Segment

RATE = 16_000

SENTENCES = {
    "es": ("ef_dora", "El médico me recomendó caminar media hora todos los días."),
    "en": ("af_heart", "The old bakery opens early in the morning."),
    "fr": ("ff_siwis", "Nous mangerons ensemble ce soir à la maison."),
}


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    language: str
    text: str
    samples: Samples  # at ``RATE``
    starts_s: tuple[float, ...]  # of its words


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.float32)


async def _say(engine: KokoroEngine, language: str) -> Said:
    voice, text = SENTENCES[language]
    chunks = [chunk async for chunk in engine.synthesize(Segment(text, voice, language))]
    whole = np.concatenate([chunk.samples for chunk in chunks])
    samples = soxr.resample(whole, chunks[0].sample_rate, RATE).astype(np.float32)
    return Said(language, text, samples, tuple(span.start_s for chunk in chunks for span in chunk.spans))


@pytest.fixture(scope="session")
def said(onnx_engine: KokoroEngine) -> dict[str, Said]:
    """One sentence in each of three languages."""
    return {language: asyncio.run(_say(onnx_engine, language)) for language in SENTENCES}


@pytest.fixture(scope="session")
def speech(said: dict[str, Said]) -> Samples:
    return said["en"].samples


@pytest.fixture(scope="session")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty-cache")
