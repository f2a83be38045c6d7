"""From the times of characters, as ElevenLabs tells them, to spans of words with their marks."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator

import numpy as np

from engines.elevenlabs.messages import CharacterAlignment
from speech.types import Span

MIN_MATCHING_CHARACTERS = 3
"""So many characters have to agree before what comes before them is taken as left out."""


class CharacterTimes:
    """Places what is told about characters in the text that was sent; gives each word once it is certain.

    Only characters that are no spaces count: ElevenLabs adds spaces at the ends of what it says in one
    go. Those that it does not tell about, or only in other words, share the time between their neighbours
    evenly; what is heard behind the last one belongs to its word, which is given when that is known. A word
    here is what stands between spaces, marks included, or a single wide character. Times are seconds of the
    audio as it came.
    """

    def __init__(self) -> None:
        self._text = ""
        self._ended = False
        self._letters = ""
        self._places: list[int] = []
        self._starts: list[float] = []
        self._ends: list[float] = []
        self._given = 0

    def extend_text(self, text: str) -> None:
        """``text`` is what was sent so far, and continues what it was before."""
        added = [at for at in range(len(self._text), len(text)) if not text[at].isspace()]
        self._places += added
        self._letters += "".join(text[at] for at in added)
        self._text = text

    def add_alignment(self, timed: CharacterAlignment, begun_s: float) -> bool:
        """Take the alignment of a message whose own audio begins at ``begun_s``.

        Its times count from the stream's start (as they do where ``sync_alignment`` is asked for) or from
        the message's own audio (as they do elsewhere): the nearer of both is believed. False, and nothing
        is taken, where it tells of other text.
        """
        base_s = 0.0 if timed.starts_s[0] > begun_s / 2 else begun_s
        told = list(_letters(timed, base_s))
        if not told:
            return True
        known = len(self._starts)
        at = self._letters.find("".join(letter for letter, _, _ in told), known)
        if at < 0 or (at > known and len(told) < MIN_MATCHING_CHARACTERS):
            return False
        self._spread(at, told[0][1])
        for _, start_s, end_s in told:
            self._starts.append(max(start_s, self._end_s))
            self._ends.append(max(end_s, self._starts[-1]))
        return True

    def words(self, until_s: float) -> list[Span]:
        """The words that begin before ``until_s`` and can change no more, in order."""
        words = []
        while (end := self._word_end()) is not None and self._starts[self._given] < until_s:
            words.append(self._word(self._given, end))
            self._given = end
        return words

    def finish(self, end_s: float) -> list[Span]:
        """The words that are left, where the audio ends at ``end_s``: none of them is said behind it."""
        self._spread(len(self._letters), end_s)
        self._starts = [min(start_s, end_s) for start_s in self._starts]
        self._ends = [*(min(known_s, end_s) for known_s in self._ends[:-1]), end_s][: len(self._starts)]
        self._ended = True
        return self.words(math.inf)

    @property
    def incomplete(self) -> bool:
        """Whether some of the text was told, and not all of it."""
        return 0 < len(self._starts) < len(self._letters)

    @property
    def _end_s(self) -> float:
        """Where what is known ends."""
        return self._ends[-1] if self._ends else 0.0

    def _spread(self, until: int, end_s: float) -> None:
        """Give the letters up to ``until`` that nobody told about the time up to ``end_s``."""
        count = until - len(self._starts)
        edges = np.linspace(self._end_s, max(end_s, self._end_s), count + 1).tolist()
        self._starts += edges[:-1]
        self._ends += edges[1:]

    def _word_end(self) -> int | None:
        """The letter behind the next word; None while more may belong to that, or has no time yet."""
        end = self._given + 1
        while end < len(self._letters) and not self._parted(end):
            end += 1
        certain = end < len(self._letters) or self._ended
        return end if certain and end <= len(self._starts) else None

    def _parted(self, at: int) -> bool:
        """Whether a new word begins with the letter ``at``."""
        spaced = self._places[at] > self._places[at - 1] + 1
        return spaced or _stands_alone(self._letters[at]) or _stands_alone(self._letters[at - 1])

    def _word(self, first: int, end: int) -> Span:
        marks = tuple(self._starts[first:end])
        return Span(self._places[first], self._places[end - 1] + 1, marks[0], self._ends[end - 1], marks)


def _stands_alone(letter: str) -> bool:
    """Whether a letter is of a script that puts no spaces between its words, and wide."""
    return unicodedata.east_asian_width(letter) == "W"


def _letters(timed: CharacterAlignment, base_s: float) -> Iterator[tuple[str, float, float]]:
    """Every character that is no space, with its start and its end."""
    for text, start_s, duration_s in zip(timed.texts, timed.starts_s, timed.durations_s, strict=True):
        each_s = duration_s / max(len(text), 1)
        for index, letter in enumerate(text):
            if not letter.isspace():
                yield letter, base_s + start_s + each_s * index, base_s + start_s + each_s * (index + 1)
