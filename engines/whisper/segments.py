"""Divides the words of a stretch of a recording into segments: sentences, or parts of long ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from engines.whisper.local_agreement import ends_sentence
from engines.whisper.passes import TimedWord

# Pause that ends a segment whatever its words are, in seconds.
_PAUSE_S = 1.0
# Width in columns of two lines of a subtitle, from which on a clause ends a segment, and the widest of all.
_LONG, _LONGEST = 84, 168
_CLAUSE_ENDINGS = frozenset(",;:،、，；：—–")


def split_segments(words: Sequence[TimedWord]) -> Iterator[Sequence[TimedWord]]:
    """Yield the words of each segment, in order."""
    first, width = 0, 0
    for at, timed in enumerate(words):
        width += _width(timed.word.text) + 1
        if at + 1 == len(words) or _ends_segment(timed, words[at + 1], width):
            yield words[first : at + 1]
            first, width = at + 1, 0


def _ends_segment(timed: TimedWord, following: TimedWord, width: int) -> bool:
    text = timed.word.text
    if ends_sentence(text) or following.start_s - timed.end_s >= _PAUSE_S or width >= _LONGEST:
        return True
    return width >= _LONG and text[-1:] in _CLAUSE_ENDINGS


def _width(text: str) -> int:
    """Return the columns of ``text``: two for an East Asian letter."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
