"""The class of a word: what its core is made of, and the lists of a language's table that have it."""

import functools
import re
import unicodedata
from collections.abc import Iterable, Mapping

from kani_text.normalizer.tables.table import LanguageTable

WordClass = frozenset[str]
"""Kinds of ``MADE_OF``, lists of the table, and "stopped", "repeated", "roman" and "marks"."""

_KIND_OF_SIGN = {
    sign: kind
    for kind, signs in {
        "hyphen": "-‐‑‒–—−",
        "slash": "/⁄",
        "stop": ".,·٫٬",
        "colon": ":",
        "prime": "'’′\"”″",
        "at": "@#",
        "underscore": "_",
        "bracket": "()",
    }.items()
    for sign in signs
}
LETTERS = frozenset(("letter", "small", "name", "capitals", "mixed", "uncased"))
"""Of these a word has one at most: a single letter is no "small", "Paul" is a "name"."""
MADE_OF = LETTERS | {*_KIND_OF_SIGN.values(), "figure", "numeral", "sign"}
"""Kinds of characters; "½" and "²" are numerals, and "sign" is any other character."""

# "XIV", "IIIème", "XVI's"; "xx"
_ROMAN = re.compile(r"[IVXLCDM]+\D{0,3}|[ivx]+")


def class_of(core: str, stopped: bool, table: LanguageTable) -> WordClass:
    """The class of a word; stopped: whether a full stop follows."""
    if not core:
        return frozenset(("marks",))
    kinds = _made_of(core) | lists_of(table).get(core.lower(), frozenset())
    if stopped:
        kinds |= {"stopped"}
    if len(core) > 1 and len(set(core)) == 1 and not core[0].isalnum():
        kinds |= {"repeated"}
    return kinds | {"roman"} if _ROMAN.fullmatch(core) else kinds


def _made_of(core: str) -> WordClass:
    if core.isalpha() and core.islower() and len(core) > 1:
        return frozenset(("small",))
    kinds, letters = set[str](), list[str]()
    for character in core:
        if character.isdecimal():
            kinds.add("figure")
        elif character.isnumeric():
            kinds.add("numeral")
        elif character.isalpha() or unicodedata.category(character)[0] == "M":
            letters.append(character)
        else:
            kinds.add(_KIND_OF_SIGN.get(character, "sign"))
    return frozenset(kinds | {_kind_of_letters(core, "".join(letters))} if letters else kinds)


def _kind_of_letters(core: str, letters: str) -> str:
    if letters.lower() == letters.upper():
        return "uncased"
    if len(core) == 1:
        return "letter"
    if letters.islower():
        return "small"
    if letters.isupper():
        return "capitals"
    return "name" if core[0].isupper() and letters[1:].islower() else "mixed"


@functools.cache
def lists_of(table: LanguageTable) -> Mapping[str, WordClass]:
    """The lists that a word in small letters, without its full stop, is in."""
    lists: dict[str, Iterable[str]] = {
        "abbreviation": [*table.abbreviations, *(key for trade in table.trades for key in trade.lines)],
        "weekday": [*table.dates.short_weekdays, *table.dates.weekday_letters],
        "month": table.dates.months,
        "currency": table.currencies,
        "unit": table.units,
        "book": table.books.names,
        "compass": table.compass.names,
        "key": table.web.keys,
        "signs": [sign for sign in table.signs if len(sign) > 1],
        "between": [*table.signs_between_figures, "x", "×"],
    }
    found: dict[str, WordClass] = {}
    for name, words in lists.items():
        for word in words:
            key = word.rstrip(".").lower()
            found[key] = found.get(key, frozenset()) | {name}
    return found
