"""The words of a written text that spans of time belong to."""

from __future__ import annotations

import re
import unicodedata

_SPOKEN_PUNCTUATION = "#@%&"


def word_spans(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Character ranges of the words in ``text[start:end]``: split at spaces, without punctuation around
    them."""
    words = []
    for match in re.finditer(r"\S+", text[start:end]):
        first, last = start + match.start(), start + match.end()
        while first < last and _is_unspoken(text[first]):
            first += 1
        while last > first and _is_unspoken(text[last - 1]):
            last -= 1
        if first < last:
            words.append((first, last))
    return words


def letter_count(word: str) -> int:
    """The number of letters and digits in a word, at least 1."""
    return max(1, sum(1 for character in word if character.isalnum()))


def _is_unspoken(character: str) -> bool:
    return unicodedata.category(character)[0] in "PC" and character not in _SPOKEN_PUNCTUATION
