"""Words grouped into the cues of subtitles."""

from __future__ import annotations

import re

from kani.core.subtitles.files import Cue
from kani.core.subtitles.words import MAX_WORD, Word
from kani.text.boundaries import is_abbreviated
from kani.text.writing import ends_clause, ends_sentence, without_closers

MAX_LINE = MAX_WORD
"""Characters of a line."""

MAX_LINES = 2
MAX_CUE_S = 7.0
MIN_CUE_S = 1.0
"""Seconds for which a cue stays at least, unless the next one comes earlier."""

LONG_PAUSE_S = 1.0
"""A pause of this length ends a cue."""

_EMPHASIS = "*_"
_BLANK_LINE = re.compile(r"\s*\n\s*\n")  # ends a paragraph, and a heading


class CueBuilder:
    """Groups words into cues, as they come.

    A cue ends with a sentence or a paragraph, at a long pause, and before it would be too long; then it
    is divided after a clause where it has one in its second half. text: what the words are of.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._words: list[Word] = []
        self._held: Cue | None = None  # its end depends on the next cue

    def add(self, word: Word) -> list[Cue]:
        """Add the next word; returns the cues that are final now."""
        done: list[Cue] = []
        if self._words and word.start_s - self._words[-1].end_s >= LONG_PAUSE_S:
            done += self._close(len(self._words))
        while self._words and not self._fits([*self._words, word]):
            done += self._close(_division(self._words))
        self._words.append(word)
        if self._ends_sentence(word) or _BLANK_LINE.match(self._text, word.end):
            done += self._close(len(self._words))
        return done

    def finish(self) -> list[Cue]:
        done = self._close(len(self._words)) if self._words else []
        return done + ([self._held] if self._held is not None else [])

    def _ends_sentence(self, word: Word) -> bool:
        stem = without_closers(word.text.rstrip(_EMPHASIS)).rstrip(_EMPHASIS)
        if not ends_sentence(stem):
            return False
        following = self._text[word.end :].lstrip()[:1]
        return not (stem.endswith(".") and following and is_abbreviated(stem, following))

    def _fits(self, words: list[Word]) -> bool:
        return words[-1].end_s - words[0].start_s <= MAX_CUE_S and len(self._lines(words)) <= MAX_LINES

    def _lines(self, words: list[Word]) -> list[str]:
        return wrap(_joined(self._text, words))

    def _close(self, count: int) -> list[Cue]:
        """End a cue after ``count`` words; returns the one before it, as its end is known now."""
        words, self._words = self._words[:count], self._words[count:]
        start_s = words[0].start_s
        end_s = min(max(words[-1].end_s, start_s + MIN_CUE_S), start_s + MAX_CUE_S)
        held, self._held = self._held, Cue(start_s, end_s, tuple(self._lines(words)))
        if held is None:
            return []
        return [Cue(held.start_s, min(held.end_s, max(start_s, held.start_s)), held.lines)]


def wrap(pieces: list[str]) -> list[str]:
    """Divide words, each with the space before it, into lines of ``MAX_LINE``, two of them evenly."""
    lines = _filled(pieces, MAX_LINE)
    if len(lines) != MAX_LINES:
        return lines
    # The shortest width that still gives two lines makes them even.
    width = next(width for width in range(1, MAX_LINE + 1) if len(_filled(pieces, width)) <= MAX_LINES)
    return _filled(pieces, width)


def _filled(pieces: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1] + piece) <= width:
            lines[-1] += piece
        else:
            lines.append(piece.lstrip())
    # A piece that is itself wider than ``width`` needs more lines than there may be.
    return lines if all(len(line) <= width for line in lines) else [*lines, *([""] * MAX_LINES)]


def _joined(text: str, words: list[Word]) -> list[str]:
    """Return the words, each with a space before it where there is one in the text."""
    return [
        (" " if number and text[word.start - 1].isspace() else "") + " ".join(word.text.split())
        for number, word in enumerate(words)
    ]


def _division(words: list[Word]) -> int:
    """Return the number of words that a cue which is too long keeps."""
    after_clause = (at for at in range(len(words) - 1, len(words) // 2, -1))
    return next((at for at in after_clause if ends_clause(words[at - 1].text.rstrip(_EMPHASIS))), len(words))
