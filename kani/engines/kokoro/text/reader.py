"""Interface of the readers of scripts without spaces: text to words with symbols."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kani.core.types import Pronunciation
from kani.engines.kokoro.text.espeak_ipa import Phonemizer


@dataclass(frozen=True, slots=True)
class ReadWord:
    """Characters ``[start, end)`` of the text that was read, which are pronounced as ``symbols``."""

    start: int
    end: int
    symbols: str
    characters: tuple[int, ...] = ()
    """Index of the first symbol of each character; empty if only the whole word's symbols are known."""


class ScriptReader(Protocol):
    """Reads text of one language that has no spaces between its words. Thread-safe."""

    def read(self, text: str) -> Sequence[ReadWord]:
        """Words of a clause, in order and disjoint; characters that are not pronounced are in none.

        Loads the language's dictionary at the first call, and so belongs into a thread. Raises EngineFailed.
        """

    def pronounced(self, given: Pronunciation) -> Sequence[ReadWord]:
        """Words of a pronunciation from a lexicon; none if the language has no similar sounds."""


TextReader = Phonemizer | ScriptReader
"""Either way from text to symbols."""
