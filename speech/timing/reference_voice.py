"""The reference voice: says where each word begins, for ``speech.timing.forced_alignment``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from speech.types import Samples


@dataclass(frozen=True, slots=True)
class ReferenceWord:
    """Characters [start, end) of a text, said from ``sample`` on; phonemes: where each of them begins."""

    start: int
    end: int
    sample: int
    phonemes: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceSpeech:
    """A text as such a voice says it: mono samples at ``sample_rate`` hertz, and the words in order."""

    samples: Samples
    sample_rate: int
    words: tuple[ReferenceWord, ...]


class ReferenceVoice(Protocol):
    """A voice that tells where each word begins."""

    async def render(self, text: str, language: str, speed: float) -> ReferenceSpeech:
        """Say ``text``, without blocking the event loop.

        language: BCP 47; speed: 1.0 is normal, and what cannot be reached is done as nearly as possible.
        Raises EngineFailed and UnsupportedLanguage.
        """
