"""Tells from the words of a turn whether it has ended."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from kani.core.turns.unfinished_words import DECIMAL, NEVER, QUESTIONS

_CLOSING = "\"'”’»)]"
_QUESTION_MARKS = frozenset("?？؟")
_ENDINGS = frozenset(".!?。！？؟।")
_UNFINISHED = ("...", "…", ",", "-", "–", "—", ":", ";", "、", "，")
_UNSPACED = frozenset(("zh", "ja"))
# Digits of a telephone number: numbers in a row that have fewer go on.
_LONG_NUMBER = 9


def ends_sentence(text: str) -> bool:
    """Return True if a word ends a sentence by its mark; an ellipsis is the mark of one that goes on."""
    bare = text.rstrip(_CLOSING)
    return bare[-1:] in _ENDINGS and not bare.endswith(_UNFINISHED)


def goes_on(words: Sequence[str], language: str) -> bool:
    """Return True if a sentence does not end with the last of ``words``, whatever its mark.

    language: primary subtag; of an unknown one only marks and numbers tell.
    """
    if not words:
        return False
    text = words[-1].rstrip(_CLOSING)
    if text.endswith(_UNFINISHED):
        return True
    last = plain(text)
    asked = text[-1:] in _QUESTION_MARKS
    never, questions = NEVER.get(language, frozenset()), QUESTIONS.get(language, frozenset())
    if language in _UNSPACED:
        never, questions = (
            frozenset(ending for ending in endings if last.endswith(ending)) for endings in (never, questions)
        )
        return bool((never - questions) if asked else never)
    if last in never or (last in questions and not asked):
        return True
    return _number_goes_on(words, language)


def plain(word: str) -> str:
    """Return ``word`` in small letters, without the marks around it."""
    folded = unicodedata.normalize("NFC", word).casefold()
    start, end = 0, len(folded)
    while start < end and not _is_letter(folded[start]):
        start += 1
    while end > start and not _is_letter(folded[end - 1]):
        end -= 1
    return folded[start:end].replace("’", "'")


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _number_goes_on(words: Sequence[str], language: str) -> bool:
    """Return True after a decimal mark, and within numbers that are read in groups, as a telephone's."""
    if len(words) < 2:
        return False
    before, last = plain(words[-2]), plain(words[-1])
    if last in DECIMAL.get(language, frozenset()):
        return before.isdigit()
    digits = 0
    for count, word in enumerate(reversed(words)):
        bare = plain(word).replace("-", "")
        if not bare.isdigit():
            return count >= 2 and digits < _LONG_NUMBER
        digits += len(bare)
    return False
