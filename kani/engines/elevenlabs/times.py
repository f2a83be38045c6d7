"""Turns the character times that ElevenLabs sends into spans of words."""

import math
import re
import unicodedata
from collections.abc import Iterator

import numpy as np

from kani.core.types import Span
from kani.engines.elevenlabs.messages import CharacterAlignment
from kani_text.writing import HAN_AND_KANA

_HAN_OR_KANA = re.compile(f"[{HAN_AND_KANA}]")

MIN_MATCHING_CHARACTERS = 3
"""Characters that have to match the text sent before the characters ahead of them count as left out."""


class CharacterTimes:
    """Matches character times with the text that was sent, and emits each word once its times are final.

    Spaces are ignored, as ElevenLabs adds some at the ends of what it speaks in one piece. Characters
    without times, or spoken in other words, share the time between their neighbours evenly. The audio after
    the last character belongs to its word. A word is what stands between spaces, with its punctuation, or a
    single Han character or kana. Times are in seconds of the audio as received.
    """

    def __init__(self) -> None:
        self._text = ""
        self._ended = False
        # The characters of the text that are no spaces, with their positions in it.
        self._letters = ""
        self._positions: list[int] = []
        # Times of the first of those characters, as far as they are known.
        self._starts: list[float] = []
        self._ends: list[float] = []
        # Characters that were emitted in words.
        self._emitted = 0

    def extend_text(self, text: str) -> None:
        """Set the text that was sent so far; it continues the text before."""
        added = [at for at in range(len(self._text), len(text)) if not text[at].isspace()]
        self._positions += added
        self._letters += "".join(text[at] for at in added)
        self._text = text

    def add_alignment(self, alignment: CharacterAlignment, begun_s: float) -> bool:
        """Take a message's alignment, its own audio beginning at ``begun_s``; True if it matches the text.

        Its times count from the start of the stream (observed with ``sync_alignment``) or from the message's
        own audio (observed without): the nearer of the two is assumed. An alignment of other text is ignored.
        """
        base_s = 0.0 if alignment.starts_s[0] > begun_s / 2 else begun_s
        letters = list(_letters(alignment, base_s))
        if not letters:
            return True
        known = len(self._starts)
        at = self._letters.find("".join(letter for letter, _, _ in letters), known)
        if at < 0 or (at > known and len(letters) < MIN_MATCHING_CHARACTERS):
            return False
        self._spread(at, letters[0][1])
        for _, start_s, end_s in letters:
            self._starts.append(max(start_s, self._end_s))
            self._ends.append(max(end_s, self._starts[-1]))
        return True

    def words(self, until_s: float) -> list[Span]:
        """Emit the words that begin before ``until_s`` and cannot change any more, in order."""
        words = []
        while (end := self._word_end()) is not None and self._starts[self._emitted] < until_s:
            words.append(self._word(self._emitted, end))
            self._emitted = end
        return words

    def finish(self, end_s: float) -> list[Span]:
        """Emit the remaining words; their times are limited to ``end_s``, the end of the audio."""
        self._spread(len(self._letters), end_s)
        self._starts = [min(start_s, end_s) for start_s in self._starts]
        self._ends = [*(min(known_s, end_s) for known_s in self._ends[:-1]), end_s][: len(self._starts)]
        self._ended = True
        return self.words(math.inf)

    @property
    def incomplete(self) -> bool:
        """True if times are known for a part of the text only."""
        return 0 < len(self._starts) < len(self._letters)

    @property
    def _end_s(self) -> float:
        """End of the last character with known times."""
        return self._ends[-1] if self._ends else 0.0

    def _spread(self, until: int, end_s: float) -> None:
        """Share the time up to ``end_s`` among the characters without times before index ``until``."""
        count = until - len(self._starts)
        edges = np.linspace(self._end_s, max(end_s, self._end_s), count + 1).tolist()
        self._starts += edges[:-1]
        self._ends += edges[1:]

    def _word_end(self) -> int | None:
        """Index after the next word; None while it may grow, or has no times yet."""
        end = self._emitted + 1
        while end < len(self._letters) and not self._begins_word(end):
            end += 1
        final = end < len(self._letters) or self._ended
        return end if final and end <= len(self._starts) else None

    def _begins_word(self, at: int) -> bool:
        """Return whether the character at index ``at`` begins a new word."""
        spaced = self._positions[at] > self._positions[at - 1] + 1
        return spaced or any(map(_is_word, self._letters[at - 1 : at + 1]))

    def _word(self, first: int, end: int) -> Span:
        starts = tuple(self._starts[first:end])
        return Span(
            self._positions[first], self._positions[end - 1] + 1, starts[0], self._ends[end - 1], starts
        )


def _is_word(letter: str) -> bool:
    """Return whether a character is a word by itself: Han characters, kana, and the marks between them."""
    if letter.isalpha():
        return _HAN_OR_KANA.match(letter) is not None
    return unicodedata.east_asian_width(letter) in "WF"


def _letters(alignment: CharacterAlignment, base_s: float) -> Iterator[tuple[str, float, float]]:
    """Yield every character that is no space, with its start and its end, in seconds."""
    entries = zip(alignment.texts, alignment.starts_s, alignment.durations_s, strict=True)
    for text, start_s, duration_s in entries:
        each_s = duration_s / max(len(text), 1)
        for index, letter in enumerate(text):
            if not letter.isspace():
                yield letter, base_s + start_s + each_s * index, base_s + start_s + each_s * (index + 1)
