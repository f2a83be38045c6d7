"""Numbers in words: num2words, and what a language has to say beyond it."""

from __future__ import annotations

import functools

from num2words import num2words

MAX_DIGITS = 15
"""Digits of the longest number that is said as one; a longer one is said digit by digit."""
MAX_GROUPED_DIGITS = 21
"""The same where marks between its groups say that it is an amount."""


class NumberWords:
    """Numbers in the words of one language, as num2words has them.

    A language that num2words has wrong, or that has more forms, is a subclass in ``numbers_XX.py``,
    which ``number_languages`` knows.
    """

    def __init__(self, language: str) -> None:
        self.language = language

    def cardinal(self, number: int, gender: str = "") -> str:
        """``number`` (0 or more) as it is counted, or before a noun of ``gender`` ("m", "f", "n")."""
        return num2words_cached(self.language, number, "cardinal")

    def ordinal(self, number: int, form: str = "") -> str:
        """``number`` in its place; form: what the table's [ordinals] and [roman] say of it ("m", "f", …)."""
        return num2words_cached(self.language, number, "ordinal")

    def year(self, number: int) -> str:
        """A year of four digits at most."""
        return self.cardinal(number)

    def decade(self, number: int) -> str:
        """The decade that begins with the year ``number`` ("1990s")."""
        return self.year(number)

    def inflected_after(self, previous: str, said: str) -> str:
        """``said`` as it has to be behind the word ``previous``, in small letters, where cases matter."""
        return said

    def with_prefix(self, prefix: str, said: str) -> str:
        """``said`` with what is written before its figures without a space ([numbers] prefixes)."""
        return prefix + said

    def denominator(self, number: int, numerator: int) -> str | None:
        """What ``numerator`` parts are called where [fractions] has no line; None: "3 over 40"."""
        return None


@functools.lru_cache(maxsize=8192)
def num2words_cached(language: str, number: int, to: str) -> str:
    """What num2words says."""
    return str(num2words(number, lang=language, to=to))
