"""Places to cut text: phrase breaks, where a reader would take a breath, each with its kind, and by weight.

A break is found only once the character after its white space is known (or the text is complete), so that
further text never changes the kind of an earlier break.
"""

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from kani_text.markup import CODE_BLOCK, MASK, PARAGRAPH_END
from kani_text.short_forms import (
    goes_before_name,
    goes_on_after_day,
    is_abbreviated,
    is_common_word,
    kinds_of,
)
from kani_text.writing import (
    CLAUSE_MARKS,
    CLOSERS,
    CLOSERS_AFTER_WORDS,
    DASHES,
    HAN_AND_KANA,
    KATAKANA,
    RIGHT_CLOSERS,
    SENTENCE_MARKS,
    UNSPACED_CLAUSE_MARKS,
    UNSPACED_SENTENCE_MARKS,
)

CONJUNCTIONS = frozenset(Path(__file__).with_name("conjunctions.txt").read_text(encoding="utf-8").split())
"""Words with a phrase break before them, in the same languages."""

MAX_CONJUNCTION = max(map(len, CONJUNCTIONS))

_CLOSERS_AND_SPACE = CLOSERS_AFTER_WORDS + MASK + " \t\u00a0\u202f"
_WORD = re.compile(r"[^\W\d_]+")
_SPACE = re.compile(r"\s*")
_LETTERS_AT_END = re.compile(r"[^\W\d_]{1,16}$")
_LONGEST_SHORT_FORM = 5
_LONGEST_DAY = 40
_UNSPACED = re.escape(UNSPACED_SENTENCE_MARKS + UNSPACED_CLAUSE_MARKS)
_CLOSING = RIGHT_CLOSERS + SENTENCE_MARKS + CLAUSE_MARKS
_STOP = re.compile(rf"[\s—{_UNSPACED}]")
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}{re.escape(CLOSERS + MASK)}]*")


class BreakKind(IntEnum):
    """Kind of a phrase break; a greater one is a better place to cut.

    UNSAFE is a space inside a number or after an abbreviation: a place to cut only where there is no other.
    """

    UNSAFE = 0
    SPACE = 1
    CONJUNCTION = 2
    CLAUSE = 3
    SENTENCE = 4
    PARAGRAPH = 5


@dataclass(frozen=True, slots=True)
class PhraseBreak:
    """A phrase break before character ``at`` (an index into the text that was searched)."""

    at: int
    kind: BreakKind


def phrase_breaks(text: str, start: int, complete: bool, language: str = "") -> Iterator[PhraseBreak]:
    """The phrase breaks of ``text`` after ``start``, in order; language: a primary subtag, where it is known.

    Unless ``complete``, the first break that more text could still change ends the search. The end of the
    text itself is not a break. Takes time linear in the searched text.
    """
    at = start
    while stop := _STOP.search(text, at):
        at = stop.start()
        spaced = text[at].isspace()
        end = _SPACE.match(text, at).end() if spaced else _UNSPACED_RUN.match(text, at + 1).end()  # type: ignore[union-attr]
        if end >= len(text):
            return
        if spaced:
            kind = _Space(text, start, at, end, complete, language).kind()
            if kind is None:
                return
            if at > start:
                yield PhraseBreak(end, kind)
        elif not text[end].isspace() and (unspaced := _kind_unspaced(text, start, at, end)) is not None:
            yield PhraseBreak(end, unspaced)
        at = end


def _kind_unspaced(text: str, start: int, at: int, end: int) -> BreakKind | None:
    """The kind of the break after a mark ``[at, end)`` that no white space follows.

    Text before ``start`` is not searched: whether it is still there depends on how the text was cut on its
    way.
    """
    mark = text[at]
    before = text[at - 1] if at > start else ""
    if mark in UNSPACED_SENTENCE_MARKS or mark in UNSPACED_CLAUSE_MARKS:
        if before.isdigit() and text[end].isdigit():
            return None
        return BreakKind.SENTENCE if mark in UNSPACED_SENTENCE_MARKS else BreakKind.CLAUSE
    token = _token_before(text, start, at)
    if "://" in token or "@" in token or not before.isalpha():
        return None
    return BreakKind.CLAUSE if text[end].isalpha() else None


def _token_before(text: str, start: int, at: int) -> str:
    """The characters before ``at`` that no space divides (the last 64), without closing marks."""
    return re.split(r"\s", text[max(start, at - 64) : at].rstrip(_CLOSERS_AND_SPACE))[-1]


@dataclass(slots=True)
class _Space:
    """White space ``[at, end)`` of a text that is searched from ``start`` on."""

    text: str
    start: int
    at: int
    end: int
    complete: bool
    language: str

    def kind(self) -> BreakKind | None:
        """The kind of the break; None if that depends on more text."""
        text, end = self.text, self.end
        newlines = text.count("\n", self.at, end)
        following = text[end]
        if newlines > 1 or PARAGRAPH_END in text[self.at : end]:
            return BreakKind.PARAGRAPH if newlines else BreakKind.SENTENCE
        if following in _CLOSING:
            return BreakKind.UNSAFE
        stem = _token_before(text, self.start, self.at)
        last = stem[-1:]
        if last == ".":
            return self._after_stop(stem, bool(newlines))
        if newlines and not following.islower():
            return BreakKind.SENTENCE
        kind = _kind_after_mark(stem, following) if last else None
        return self._after_word(last) if kind is None else kind

    def _after_stop(self, stem: str, ends_line: bool) -> BreakKind | None:
        following, known = self.text[self.end], self._known_word()
        before = self.text[max(self.start, self.at - _LONGEST_DAY) : self.at]
        short = self._is_short(stem, before, known)
        if short is None:
            return None
        if ends_line and not following.islower() and not short:
            return BreakKind.SENTENCE
        if following in "(N" and self.end + 1 >= len(self.text) and not self.complete:
            return None
        if _goes_on(stem, self.text[self.end : self.end + 2]):
            return BreakKind.UNSAFE
        if known != "" and goes_on_after_day(before, known or "", kinds_of(self.language)):
            return BreakKind.UNSAFE if known else None
        return _kind_after_sentence_mark(stem, following, short)

    def _is_short(self, stem: str, before: str, known: str | None) -> bool | None:
        """True if the full stop belongs to a short form; None if that depends on more text."""
        following = self.text[self.end]
        if is_abbreviated(stem, known or following, self.language):
            return True
        if not (following.isupper() and goes_before_name(before, stem, self.language)):
            return False
        after = self.end + len(known or "")
        return _is_name(known, self.text[after : after + 1], self.language) if known else None

    def _known_word(self) -> str | None:
        """The word after the space, "" where there is none; None for one that more text may continue."""
        word = _WORD.match(self.text, self.end)
        if word is None:
            return ""
        return None if word.end() == len(self.text) and not self.complete else word.group()

    def _after_word(self, last: str) -> BreakKind | None:
        """The kind after a word that ends in ``last``, which is no mark that ends a sentence or a clause."""
        text, end = self.text, self.end
        if text[end] in DASHES:
            if end + 1 >= len(text):
                return BreakKind.SPACE if self.complete else None
            return BreakKind.CLAUSE if text[end + 1].isspace() else BreakKind.SPACE
        if (word := _WORD.match(text, end)) is not None:
            if word.end() == len(text) and not self.complete and len(word.group()) <= MAX_CONJUNCTION:
                return None
            if word.group().casefold() in CONJUNCTIONS:
                return BreakKind.CONJUNCTION
        tears = last.isdigit() or text[end].isdigit() or last in tuple("$€£¥#")
        return BreakKind.UNSAFE if tears else BreakKind.SPACE


_SECTION = re.compile(r"[A-Z][.,;)]|[IVX]{2}")


def _goes_on(stem: str, following: str) -> bool:
    """True after a short form where no sentence begins: "3 qts. (1 ste.)", "4 €/ud. = 8 €", "Re. Nr."."""
    word = _LETTERS_AT_END.search(stem[:-1])
    short = word is not None and len(word.group()) < _LONGEST_SHORT_FORM
    bracketed = following[:1] == "(" and not following[1:].isupper()
    # "art. L. 121-1", "dell'all. B.", "l'ann. II"
    elided = word is not None and (
        stem[: word.start()].endswith(("'", "’")) or word.group() in ("art", "Art")
    )
    section = elided and _SECTION.match(following) is not None
    return short and (bracketed or section or following == "Nr" or following[:1] in ("=", "+", "&"))


def _is_name(word: str, after: str, language: str) -> bool:
    """True for a word with a capital that is an initial, or none of the language's commonest."""
    return (len(word) == 1 and after == ".") or not is_common_word(word, language)


def _kind_after_mark(stem: str, following: str) -> BreakKind | None:
    if stem[-1] in UNSPACED_SENTENCE_MARKS:
        return BreakKind.SENTENCE
    if stem[-1] in SENTENCE_MARKS:
        return _kind_after_sentence_mark(stem, following, False)
    if stem[-1] in CLAUSE_MARKS + UNSPACED_CLAUSE_MARKS:
        return BreakKind.UNSAFE if stem[-2:-1].isdigit() and following.isdigit() else BreakKind.CLAUSE
    return None


def _kind_after_sentence_mark(stem: str, following: str, short: bool) -> BreakKind:
    body = stem.rstrip(SENTENCE_MARKS)
    if stem.endswith("!") and following in "=×÷·+<>≤≥":
        # "5! = 120"
        return BreakKind.UNSAFE
    if stem[len(body) :] != ".":
        return BreakKind.CLAUSE if following.islower() else BreakKind.SENTENCE
    if short:
        return BreakKind.UNSAFE
    if following.islower():
        return BreakKind.CLAUSE if len(body) > 2 and body.isalpha() else BreakKind.UNSAFE
    return BreakKind.SENTENCE


def _is_grapheme_start(text: str, at: int) -> bool:
    """True if a cut before ``at`` leaves marks, joined emoji and surrogate halves together."""
    character = text[at]
    return not (
        unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")
        or text[at - 1] == "\u200d"
        or "\udc00" <= character <= "\udfff"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


CHARACTERS_PER_WORD = 2
"""Characters of a word in Chinese and Japanese, about."""

_MASKS = {MASK: 0, CODE_BLOCK: 15}
_UNBROKEN = re.compile(r"\S+")
_HAN_OR_KANA = re.compile(f"[{HAN_AND_KANA}]")
# A run of katakana is a word.
_CERTAIN = re.compile(f"(?<=[{HAN_AND_KANA}])(?=[{HAN_AND_KANA}])(?!(?<=[{KATAKANA}])[{KATAKANA}])")
_FARTHEST_BACK = 20


def weight(text: str) -> int:
    """Estimated duration of a text, in letters; white space takes no time."""
    return sum(map(_weight, text))


def weight_up_to(text: str, start: int, enough: int) -> int:
    """The weight of ``text`` from ``start`` on; counting stops at ``enough``."""
    weighed = 0
    for word in _UNBROKEN.finditer(text, start):
        for character in word.group():
            weighed += _weight(character)
            if weighed >= enough:
                return weighed
    return weighed


@functools.lru_cache(maxsize=4096)
def _weight(character: str) -> int:
    if character in _MASKS:
        return _MASKS[character]
    if character.isascii():
        return 4 if character.isdigit() else 0 if character.isspace() else 1
    if character.isspace():
        return 0
    return 4 if character.isdigit() or unicodedata.east_asian_width(character) in "WF" else 1


def word_count(text: str) -> int:
    """The number of words: between spaces, and by their characters where none are written."""
    words = 0
    for word in text.split():
        characters = len(_HAN_OR_KANA.findall(word))
        if characters:
            words += max(1, characters // CHARACTERS_PER_WORD)
        else:
            words += any(map(str.isalnum, word))
    return words


def unspaced_end(text: str, start: int, max_weight: int) -> int:
    """The last place after ``start`` between two Han characters or kana.

    Further text never moves it back. ``start`` if there is none; the text up to it weighs ``max_weight`` at
    most.
    """
    weighed, end = 0, start
    for at in range(start, len(text) - 1):
        weighed += _weight(text[at])
        # After a mark or a space a break may come, which ends the segment.
        if weighed > max_weight or _STOP.match(text[at]):
            break
        if _CERTAIN.match(text, at + 1):
            end = at + 1
    return end


def forced_cut(text: str, max_weight: int) -> int:
    """The place to cut text without a break: between two graphemes, rather not inside a number or a word."""
    weighed = end = 0
    while end < len(text):
        weighed += _weight(text[end])
        if weighed > max_weight and end > 0:
            break
        end += 1
    for at in range(end, max(end - _FARTHEST_BACK, 1), -1):
        if _CERTAIN.match(text, at) and not text[at - 2].isdigit():
            return at
    at = end
    while at > 1 and at < len(text) and not _is_grapheme_start(text, at):
        at -= 1
    return at if at > 1 else end
