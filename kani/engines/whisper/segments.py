"""Divides the words of a stretch of a recording into segments: sentences, or parts of long ones."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from kani.engines.whisper.local_agreement import ends_sentence
from kani.engines.whisper.passes import TimedWord

# Pause that ends a segment whatever its words are, in seconds.
_PAUSE_S = 1.0
# Width in columns of two lines of a subtitle, from which on a clause ends a segment, and the widest of all.
_LONG, _LONGEST = 84, 168
_CLAUSE_ENDINGS = frozenset(",;:،、，；：—–")


def split_segments(words: Sequence[TimedWord]) -> Iterator[Sequence[TimedWord]]:
    """Yield the words of each segment, in order."""
    first, width = 0, 0
    for at, timed in enumerate(words):
        width += columns(timed.word.text) + 1
        last = at + 1 == len(words)
        if last or ends_segment(timed.word.text, words[at + 1].start_s - timed.end_s, width):
            yield words[first : at + 1]
            first, width = at + 1, 0


def ends_segment(text: str, pause_s: float, width: int) -> bool:
    """Return True if a segment ends with the word ``text``.

    pause_s: seconds between the word and the next; width: columns of the segment so far.
    """
    if ends_sentence(text) or pause_s >= _PAUSE_S or width >= _LONGEST:
        return True
    return width >= _LONG and text[-1:] in _CLAUSE_ENDINGS


def columns(text: str) -> int:
    """Return the columns of ``text``: two for an East Asian letter."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
