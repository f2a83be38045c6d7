"""What one pass over a stretch of audio is asked and answers; no model in it."""

from __future__ import annotations

from dataclasses import dataclass

from engines.whisper.local_agreement import HypothesisWord
from speech.types import Samples


@dataclass(frozen=True, slots=True, eq=False)
class PassInput:
    """A stretch of audio that may hold words.

    samples: 16 kHz; language: a primary subtag, or None to tell it; prefix: the tokens of the words
    in it that are decided already.
    """

    samples: Samples
    language: str | None
    prefix: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word, when it is said (seconds since the passage began), and how likely it is, in [0, 1]."""

    word: HypothesisWord
    start_s: float
    end_s: float
    probability: float


@dataclass(frozen=True, slots=True)
class PassResult:
    """What was heard in a passage behind its prefix.

    words: their times never decrease; language, certainty: what the passage was heard as, and how
    likely it is that; sound: whether there is speech in it, as far as the model can tell.
    """

    words: tuple[TimedWord, ...]
    language: str
    language_probability: float
    has_speech: bool
