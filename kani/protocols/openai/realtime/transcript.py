"""The words of one item of input audio."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count

from kani.core.recognizer import RecognizedWord

UNSPACED = frozenset("zh yue ja th lo my km bo".split())
"""Languages that are written without spaces between words."""

_numbers = count()


@dataclass(eq=False)
class Transcript:
    """Words of one item so far; times in seconds of the session's audio."""

    item_id: str
    number: int = field(default_factory=lambda: next(_numbers))
    """Rises from each transcript to the next."""
    text: str = ""
    language: str = ""
    start_s: float = 0.0
    end_s: float = math.inf
    duration_s: float = 0.0
    voiced_s: float = 0.0
    """Seconds of voice, while its turn goes on."""
    started: bool = False
    """True once the client knows that its turn has started."""
    committed: bool = False
    """True once the client knows the item."""
    to_be_answered: bool = False
    stopped_at: float = 0.0
    """Time at which its turn was found to have ended, on the clock of ``time.perf_counter``."""

    @property
    def stopped(self) -> bool:
        """True if it is of a turn with detected speech that has ended."""
        return self.end_s < math.inf

    def add(self, word: RecognizedWord) -> str:
        """Append a word; returns the text that was added to the transcript."""
        self.language = word.language
        space = " " if self.text and word.language not in UNSPACED else ""
        delta = space + word.text
        self.text += delta
        return delta
