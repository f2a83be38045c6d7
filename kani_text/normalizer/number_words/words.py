"""Numbers in words: num2words, and what languages need beyond it."""

import functools
import re
from collections.abc import Callable, Container

MAX_DIGITS = 15
"""Digits of the longest number that is spoken as one; a longer one is spoken digit by digit."""
MAX_GROUPED_DIGITS = 21
"""The same where marks between its groups show that it is an amount."""


class NumberWords:
    """Numbers in the words of one language, by num2words.

    A language that num2words has wrong, or that needs more forms, is a subclass in a module of this folder,
    which ``languages`` lists.
    """

    ordered: Container[str] = frozenset()
    """Nouns that a number after them orders: it counts nothing."""
    verbs: re.Pattern[str] | None = None
    """Verbs that govern a number a few words after them, too."""

    def __init__(self, language: str) -> None:
        """Blocks for 20 ms at first, while num2words is imported."""
        _num2words()
        self.language = language

    def cardinal(self, number: int, gender: str = "") -> str:
        """``number`` (0 or more) as in counting, or before a noun of ``gender`` ("m", "f", "n")."""
        return num2words_cached(self.language, number, "cardinal")

    def ordinal(self, number: int, form: str = "") -> str:
        """``number`` as an ordinal; form: one of the table's [ordinals] or [roman] ("m", "f", …)."""
        return num2words_cached(self.language, number, "ordinal")

    def year(self, number: int) -> str:
        """A year of four digits at most."""
        return self.cardinal(number)

    def exponent(self, number: int) -> str:
        """A power's exponent."""
        return self.cardinal(number)

    def decade(self, number: int) -> str:
        """The decade that begins with the year ``number`` ("1990s")."""
        return self.year(number)

    def inflected_after(self, previous: str, spoken: str) -> str:
        """Inflect a spoken number as the word ``previous``, in lower case, governs it."""
        return spoken

    def with_noun(self, number: int, last: int, noun: str) -> str:
        """The noun after ``number``, or a range to ``last``, where its form says the number too; else ""."""
        return ""

    def until(self, previous: str, to: str) -> str:
        """Return what stands between the numbers of a range that rises, after the word ``previous``."""
        return to

    def with_prefix(self, prefix: str, spoken: str) -> str:
        """Join a spoken number with a prefix written before its digits without a space ([numbers]
        prefixes)."""
        return prefix + spoken

    def before_ending(self, spoken: str) -> str:
        """A spoken number before what is joined with it to one word ([numbers] endings)."""
        return spoken

    def denominator(self, number: int, numerator: int) -> str | None:
        """Name of ``numerator`` parts where [fractions] has no line; None: "3 over 40"."""
        return None


@functools.lru_cache(maxsize=8192)
def num2words_cached(language: str, number: int, to: str) -> str:
    """The result of num2words."""
    return str(_num2words()(number, lang=language, to=to))


@functools.cache
def _num2words() -> Callable[..., str]:
    # All its languages: imported with the first table, beside the engine's start.
    from num2words import num2words

    words: Callable[..., str] = num2words
    return words
