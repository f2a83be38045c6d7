"""The plain data that pass between text, the core and engines: frozen, and fit to be pickled."""

from dataclasses import dataclass
from enum import Enum


class Boundary(Enum):
    """End of a segment, which determines the pause after it."""

    PARAGRAPH = "paragraph"
    SENTENCE = "sentence"
    CLAUSE = "clause"
    WORD = "word"
    SEAM = "seam"  # words in another language follow at once


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """Pronunciation of the characters ``[start, end)`` of a text.

    It is IPA with stress marks, or, only in Chinese, pinyin: syllables with their tones, a space between
    two ("chong2 qing4").
    """

    start: int
    end: int
    ipa: str
    alphabet: str = "ipa"  # or "pinyin"


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Prosody of the characters ``[start, end)`` of a text, relative to the words around them."""

    start: int
    end: int
    rate: float
    """Factor of the speed."""
    pitch: float
    """Semitones added."""
    loudness: float
    """Decibels added."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """Speech for characters of the client's text up to ``end``: one of the three.

    spelling: of ``<sub>``, and the word of ``<phoneme>``; ipa: of ``<phoneme>``; say_as: the
    ``interpret-as`` and ``format`` of a ``<say-as>`` with the content ``spelling``.
    """

    end: int
    spelling: str
    ipa: str | None = None
    say_as: tuple[str, str] | None = None
