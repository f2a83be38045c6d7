"""Speech for the recogniser: Kokoro's, synthesised once, at 16 kHz."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soxr

from benchmarks.recognition.hard_recordings import Speaker
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer

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


async def say(engine: KokoroEngine, language: str, text: str, voice: str = "") -> Said:
    voice = voice or SENTENCES[language][0]
    chunks = [chunk async for chunk in engine.synthesize(Segment(text, voice, language, ahead_s=math.inf))]
    whole = np.concatenate([chunk.samples for chunk in chunks])
    samples = soxr.resample(whole, chunks[0].sample_rate, RATE).astype(np.float32)
    return Said(language, text, samples, tuple(span.start_s for chunk in chunks for span in chunk.spans))


@pytest.fixture(scope="session")
def said(onnx_engine: KokoroEngine) -> dict[str, Said]:
    return {
        language: asyncio.run(say(onnx_engine, language, text)) for language, (_, text) in SENTENCES.items()
    }


@pytest.fixture(scope="session")
def speaker(onnx_engine: KokoroEngine, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return Speaker(onnx_engine, tmp_path_factory.mktemp("said"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def recognizer(empty_cache: Path) -> AsyncIterator[WhisperRecognizer]:
    """Started once for all tests; its weights are the package's."""
    made = WhisperRecognizer(models_dir=None, cache_dir=empty_cache)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture(scope="session")
def empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty-cache")
