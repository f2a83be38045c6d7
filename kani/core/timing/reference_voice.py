"""The reference voice: reports where each word begins, for ``kani.core.timing.word_times``."""

from dataclasses import dataclass
from typing import Protocol

from kani.core.types import Samples


@dataclass(frozen=True, slots=True)
class ReferenceWord:
    """Characters [start, end) of a text and the samples at which they begin."""

    start: int
    end: int
    sample: int  # at which the word begins
    phonemes: tuple[int, ...]  # the sample at which each phoneme begins


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSpeech:
    """A text spoken by a reference voice."""

    samples: Samples  # mono
    sample_rate: int  # hertz
    words: tuple[ReferenceWord, ...]  # in order


class ReferenceVoice(Protocol):
    """A voice that reports where each word begins."""

    async def languages(self) -> frozenset[str]:
        """Return the primary subtags of the languages that it speaks. Raises EngineUnavailable."""

    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        """Speak ``text``, without blocking the event loop.

        language: BCP 47; speed: 1.0 is normal; out-of-range speeds are clamped. Raises EngineFailed and
        UnsupportedLanguage.
        """
