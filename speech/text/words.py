"""The words of a written text, as the times of speech are told by."""

from __future__ import annotations

import re
import unicodedata

_SPOKEN_PUNCTUATION = "#@%&"


def word_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """What stands between spaces in ``text[start:end]``, without the punctuation around it."""
    words = []
    for match in re.finditer(r"\S+", text[start:end]):
        first, last = start + match.start(), start + match.end()
        while first < last and _silent(text[first]):
            first += 1
        while last > first and _silent(text[last - 1]):
            last -= 1
        if first < last:
            words.append((first, last))
    return words


def letter_count(word: str) -> int:
    """How many letters and digits a word has, at least one."""
    return max(1, sum(1 for character in word if character.isalnum()))


def _silent(character: str) -> bool:
    return unicodedata.category(character)[0] in "PC" and character not in _SPOKEN_PUNCTUATION
