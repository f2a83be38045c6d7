"""Numbers in words: num2words, what languages need beyond it, and genders by the nouns after numbers."""

import functools
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from kani_text.writing import has_letters_only

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
    year_in_hundreds = ""
    """Template of a year from 1100 to 1999, where it is counted in hundreds."""

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
        hundreds, rest = divmod(number, 100)
        if not self.year_in_hundreds or not 11 <= hundreds <= 19:
            return self.cardinal(number)
        below = self.cardinal(rest) if rest else ""
        return self.year_in_hundreds.format(self.cardinal(hundreds), below).rstrip()

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


@dataclass(frozen=True, slots=True)
class Counter:
    """Reading of what a number counts in a language without spaces, and what it changes in the number.

    change: "two" for 2, which is 两 before it; or a change of sound, of those in ``ja``. last: readings of a
    last digit. whole: readings of a number with its counter.
    """

    said: str = ""
    change: str = ""
    last: Mapping[int, str] = field(default_factory=dict)
    whole: Mapping[int, str] = field(default_factory=dict)

    def begins(self) -> "Counter":
        """The counter of a range's first number, after which it is not said."""
        return Counter("", self.change if self.change == "two" else "", whole=self.whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """[agreement]: nouns by their endings, and the exceptions.

    plural_endings: of a noun after a number other than one; without any, every word may be a noun. words,
    endings: their gender ("m", "f", "n"); words come first, then the longest ending, "" is any. not_nouns:
    words that a number does not count; not_noun_beginnings: beginnings of others that stand after a number by
    chance. capitals: whether nouns are written with a capital. beginnings: for a form of numbers its gender
    and the beginnings of the nouns that need it ("uno studente", "un'ora"). measures_after: words after which
    a measure describes the noun that follows it ("a 60 L tank"), where it has no plural then.
    """

    plural_endings: tuple[str, ...]
    words: Mapping[str, str]
    endings: Mapping[str, str]
    not_nouns: frozenset[str]
    capitals: bool
    not_noun_beginnings: tuple[str, ...]
    beginnings: Mapping[str, tuple[str, tuple[str, ...]]]
    measures_after: frozenset[str]

    def knows(self, noun: str) -> bool:
        """True for a word that has its gender by itself, not by its ending."""
        return noun.lower() in self.words

    def gender(self, noun: str, plural: bool) -> str:
        """ "m", "f", "n", a form of [agreement.beginnings], or "" for a word that is no noun or has no known
        gender."""
        gender = self._gender(noun, plural)
        for form, (of, begins) in self.beginnings.items():
            if gender == of and noun.lower().startswith(begins):
                return form
        return gender

    def _gender(self, noun: str, plural: bool) -> str:
        word = noun.lower()
        if not has_letters_only(word) or (self.capitals and noun[:1].islower()) or word in self.not_nouns:
            return ""
        if plural and self.plural_endings and not word.endswith(self.plural_endings):
            return ""
        if word in self.words:
            return self.words[word]
        suffixes = (word[at:] for at in range(len(word) + 1))
        return next((self.endings[suffix] for suffix in suffixes if suffix in self.endings), "")
