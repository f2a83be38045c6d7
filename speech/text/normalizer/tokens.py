"""The words of a text, one after the other, and how far ahead a rule may look."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from speech.text.boundaries import CLOSERS, RIGHT_CLOSERS, UNSPACED_CLAUSE_MARKS, UNSPACED_MARKS
from speech.text.lexicon import Lexicon, LexiconEntry
from speech.text.markup import CODE_BLOCK

_UNSPACED = UNSPACED_MARKS + UNSPACED_CLAUSE_MARKS
_MARKS = rf"[{_UNSPACED}][{_UNSPACED}{re.escape(CLOSERS)}]*"
# Behind the marks of scripts without spaces another word begins, as another segment may.
_WORD = re.compile(rf"—+|{CODE_BLOCK}|[^\s—{CODE_BLOCK}{_UNSPACED}]+(?:{_MARKS})?|{_MARKS}")
_OPENERS = "\"'«»‹›“„‘‚([{¿¡*_`"
_JOINED = re.compile(
    r"(?P<elided>[^\W\d_]{1,8})['’](?=[^\W_a-zß-öø-ÿ])|(?P<number>[^\W\d_]{1,3}\.?[°º])(?=\d)"
)
_HALF = re.compile(r"(?:[AaPp]\.?[Mm]\.?)(?=[-–]\d{1,2}(?:[:.]\d\d)?)")
_CLOSERS = ".,;:!?…)]}\"'«»‹›“”’‘*_`،؛" + _UNSPACED + RIGHT_CLOSERS


class MoreTextNeeded(Exception):
    """A rule looked behind the last word of a text that is still being written."""


@dataclass(frozen=True, slots=True)
class Token:
    """What stands between white space: ``[start, end)`` of a text, its core without the marks around it.

    entry: what the lexicon says of it, else None.
    """

    text: str
    start: int
    end: int
    core: str
    core_start: int
    core_end: int
    entry: LexiconEntry | None = None

    @property
    def suffix(self) -> str:
        """The marks behind the core."""
        return self.text[self.core_end : self.end]

    @property
    def prefix(self) -> str:
        """The marks before the core."""
        return self.text[self.start : self.core_start]


NO_TOKEN = Token("", 0, 0, "", 0, 0)
"""Stands behind the last word, and before the first."""


def token_at(text: str, start: int, end: int) -> Token:
    """The word ``[start, end)`` of ``text``."""
    whole = text[start:end]
    opened = whole.lstrip(_OPENERS)
    core_start = end - len(opened)
    core = opened.rstrip(_CLOSERS)
    if not core:
        return Token(text, start, end, "", start, start)
    return Token(text, start, end, core, core_start, core_start + len(core))


def split_joined(
    words: Sequence[Token], elided: frozenset[str], abbreviations: Container[str]
) -> list[Token]:
    """``words``, those that are written as one but are two by themselves.

    So is what lost its end before an apostrophe ("l'" of "l'ONU"; before a capital or a digit only,
    what else follows has no rule of its own), and an abbreviation of "number" before one ("n°" of "n°5").
    """
    found: list[Token] = []
    for word in words:
        match = _JOINED.match(word.core) if word.entry is None else None
        if match and ((match["elided"] or "").lower() in elided or match["number"] in abbreviations):
            middle = word.core_start + match.end()
            found.append(token_at(word.text, word.start, middle))
            word = token_at(word.text, middle, word.end)
        elif half := _HALF.match(word.core):
            # "9:00 AM-5:00 PM"
            middle = word.core_start + half.end()
            found.append(token_at(word.text, word.start, middle))
            found.append(token_at(word.text, middle, middle + 1))
            word = token_at(word.text, middle + 1, word.end)
        found.append(word)
    return found


def tokenize(text: str, lexicon: Lexicon | None, complete: bool) -> list[Token]:
    """The words of ``text``, what the lexicon knows apart from what it touches.

    Unless ``complete``, words that might begin an entry that goes on behind the text are left out.
    """
    if lexicon is None or not lexicon.max_words:
        return [token_at(text, *match.span()) for match in _WORD.finditer(text)]
    spans = [match.span() for match in _WORD.finditer(text)]
    unsure = len(text) if complete or lexicon.max_words == 1 else _begins_more(text, spans, lexicon)
    found: list[Token] = []
    done = 0
    for start, end in spans:
        if end > unsure:
            break
        at = start = max(start, done)
        while at < end:
            match = lexicon.match(text, at)
            if match is None:
                at += 1
                continue
            if at > start:
                found.append(token_at(text, start, at))
            start = done = match[0]
            found.append(Token(text, at, start, text[at:start], at, start, match[1]))
            at = start
        if start < end:
            found.append(token_at(text, start, end))
    return found


def _begins_more(text: str, spans: Sequence[tuple[int, int]], lexicon: Lexicon) -> int:
    """Where the first word stands that may begin an entry whose end is not written yet."""
    for start, end in spans[-lexicon.max_words :]:
        if any(lexicon.may_continue(text, at) for at in range(start, end)):
            return start
    return len(text)


class TokenCursor:
    """A word, and those around it."""

    def __init__(self, words: list[Token], before: Sequence[Token], complete: bool) -> None:
        """before: the words before the text, as far as they are known."""
        self._words = words
        self._before = before
        self._complete = complete
        self.at = 0

    def token(self, ahead: int = 0) -> Token:
        """The word so far ahead, ``END`` behind the last.

        Raises MoreNeeded where it may be written yet: so what a rule says never depends on what it
        has not seen.
        """
        at = self.at + ahead
        if at < len(self._words):
            return self._words[at]
        if not self._complete:
            raise MoreTextNeeded
        return NO_TOKEN

    def previous(self, back: int = 1) -> Token:
        """The word so far back, ``END`` before the first."""
        at = self.at - back
        if at >= 0:
            return self._words[at]
        return self._before[at] if -at <= len(self._before) else NO_TOKEN

    @property
    def exhausted(self) -> bool:
        """Whether no word is left."""
        return self.at >= len(self._words)

    @contextmanager
    def without_prefix(self, length: int) -> Iterator[Token]:
        """The word without so many characters of its core, as long as the context lasts."""
        word = self._words[self.at]
        start = word.core_start + length
        rest = replace(word, start=start, core=word.core[length:], core_start=start)
        self._words[self.at] = rest
        try:
            yield rest
        finally:
            self._words[self.at] = word

    def is_adjacent(self, ahead: int = 1) -> bool:
        """Whether no mark stands between the word before the one so far ahead, and it.

        That one is there, and the lexicon has nothing to say of it.
        """
        first = self.token(ahead - 1)
        if first.end > first.core_end:
            return False
        second = self.token(ahead)
        return second.core != "" and second.start == second.core_start and second.entry is None
