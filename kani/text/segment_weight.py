"""Lengths of text for segments, and places to cut between Han characters and kana."""

from __future__ import annotations

import functools
import re
import unicodedata

from kani.text.boundaries import is_grapheme_start
from kani.text.markup import CODE_BLOCK, MASK
from kani.text.writing import HAN_AND_KANA, KATAKANA, UNSPACED_CLAUSE_MARKS, UNSPACED_SENTENCE_MARKS

CHARACTERS_PER_WORD = 2
"""Characters of a word in Chinese and Japanese, about."""

_MASKS = {MASK: 0, CODE_BLOCK: 15}
_WORD = re.compile(r"\S+")
_HAN_OR_KANA = re.compile(f"[{HAN_AND_KANA}]")
# A run of katakana is a word.
_CERTAIN = re.compile(f"(?<=[{HAN_AND_KANA}])(?=[{HAN_AND_KANA}])(?!(?<=[{KATAKANA}])[{KATAKANA}])")
_FARTHEST_BACK = 20
_STOP = re.compile(rf"[\s—{re.escape(UNSPACED_SENTENCE_MARKS + UNSPACED_CLAUSE_MARKS)}]")


def weight(text: str) -> int:
    """Estimated duration of a text, in letters; white space takes no time."""
    return sum(map(_weight, text))


def weight_up_to(text: str, start: int, enough: int) -> int:
    """The weight of ``text`` from ``start`` on; counting stops at ``enough``."""
    weighed = 0
    for word in _WORD.finditer(text, start):
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
    while at > 1 and at < len(text) and not is_grapheme_start(text, at):
        at -= 1
    return at if at > 1 else end
