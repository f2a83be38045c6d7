"""Helpers of Kokoro's tests: utterances, collected chunks, agreement of samples, a growing text."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

import kani.engines.kokoro
from kani.core.types import Boundary, Samples, Segment, Span, SpeechChunk
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.onnx_model import Array
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import MAX_UTTERANCE_SYMBOLS, Utterance, Word, split_utterances
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.voices import Voices
from kani_text.incremental_text import IncrementalText
from kani_text.normalizer import VERBATIM, NormalizerOptions
from kani_text.segmenter import TextSegment
from tests.support.sound_measures import pitch

DATA = Path(kani.engines.kokoro.__file__).parent / "data"
CHANNELS = 9216
"""Channels of all norms together."""

CPUINFO = Path("/proc/cpuinfo")
VNNI = not CPUINFO.exists() or bool(re.search("avx512_vnni|avx_vnni|asimddp", CPUINFO.read_text()))
"""False where the processor is known to have no such instructions; then int8 is rounded otherwise."""


async def measured(engine: KokoroEngine) -> None:
    """Return once the engine has measured its speed for the first time."""
    assert engine._cost._measuring is not None
    await engine._cost._measuring


def one_utterance(text: str, language: str) -> Utterance:
    """A sentence as the network gets it."""
    phonemizer = phonemizer_for(EspeakClient.shared(), language)
    assert phonemizer is not None
    (utterance,) = split_utterances(text, phonemizer, ending=".")
    return utterance


def symbols_and_style(text: str, voice: str, language: str) -> tuple[str, Array]:
    """The network's input for a sentence."""
    symbols = one_utterance(text, language).symbols
    return symbols, Voices().style(voice, len(symbols))


async def chunks_of(engine: KokoroEngine, segment: Segment) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.synthesize(segment)]


async def computing(engine: KokoroEngine, steps: int = 1) -> None:
    """Return while at least ``steps`` steps are computed."""
    while engine._scheduler.steps < steps:
        await asyncio.sleep(0)


def joined(chunks: list[SpeechChunk]) -> tuple[Samples, list[Span]]:
    """All samples and all spans."""
    samples = np.concatenate([chunk.samples for chunk in chunks])
    return samples, [span for chunk in chunks for span in chunk.spans]


def agreement_db(expected: Array, got: Array) -> float:
    """Signal-to-difference ratio; infinite where both are equal."""
    difference = np.square(np.asarray(expected, np.float64) - got).sum()
    return float(10 * np.log10(np.square(np.asarray(expected, np.float64)).sum() / max(difference, 1e-30)))


class Writer:
    """Adds ``words`` words of a text each time that the engine waits for more."""

    def __init__(
        self, text: str, words: int, options: NormalizerOptions = VERBATIM, *, first: int | None = None
    ) -> None:
        self._words = text.split(" ")
        self.words_at_once = words
        self._written = 0
        self.waited = 0
        self.waits = asyncio.Event()
        self.text = IncrementalText(TextSegment(0, ""), self._wait, options)
        self._add(words if first is None else first)

    def _add(self, words: int) -> None:
        added = self._words[self._written : self._written + words]
        self.text.extend("".join(f" {word}" for word in added)[0 if self._written else 1 :])
        self._written += len(added)
        if self._written == len(self._words):
            self.text.close(Boundary.SENTENCE)

    @asynccontextmanager
    async def _wait(self) -> AsyncIterator[None]:
        self.waited += 1
        self.waits.set()
        if self.words_at_once and self.text.boundary is None:
            self._add(self.words_at_once)
        yield


def semitones(samples: Samples) -> tuple[float, float]:
    """Median of the pitch, and the range from its tenth to its ninetieth percentile."""
    found = pitch(samples)
    low, middle, high = np.percentile(12 * np.log2(found[~np.isnan(found)]), (10, 50, 90))
    return float(middle), float(high - low)


def check_utterances(parts: list[Utterance], text: str) -> list[Word]:
    """Check that the network can take the parts, and that their words are parts of the text, in its order."""
    for part in parts:
        assert 0 < len(part.symbols) <= MAX_UTTERANCE_SYMBOLS
        assert set(part.symbols) <= VOCABULARY.keys()
        assert all(0 <= word.first < word.stop <= len(part.symbols) for word in part.words)
        assert all(a.stop <= b.first for a, b in pairwise(part.words))
    words = [word for part in parts for word in part.words]
    assert all(0 <= word.start < word.end <= len(text) for word in words)
    assert all(a.end <= b.start or (a.start, a.end) == (b.start, b.end) for a, b in pairwise(words))
    return words
