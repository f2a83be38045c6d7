"""Numbers in digits: groups, decimals, and the words and signs that numbers stand after."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from kani_text.normalizer.number_words.words import MAX_DIGITS, MAX_GROUPED_DIGITS
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

NUMBER = r"\d+(?:[.,٬٫\u00b7]\d+|['’]\d{3}(?!\d))*"
VULGAR_FRACTIONS = {
    "½": (1, 2), "¼": (1, 4), "¾": (3, 4), "⅓": (1, 3), "⅔": (2, 3), "⅛": (1, 8), "⅜": (3, 8), "⅝": (5, 8),
    "⅞": (7, 8), "⅕": (1, 5), "⅖": (2, 5), "⅗": (3, 5), "⅘": (4, 5), "⅙": (1, 6), "⅚": (5, 6),
}  # fmt: skip
"""Characters that are a fraction, each with its numerator and denominator."""

LOWERED = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
"""Lowered figures, and the ordinary ones."""

DASHES = "-–‒‐‑"

FEET, INCHES = "'’′", '"”″'
"""Marks of feet or minutes, and of inches or seconds."""

YEARS = range(1100, 2100)
"""Numbers of four figures that are years where they count nothing."""

_MARK = re.compile(r"[.,'’٬٫\u00b7]")
_APOSTROPHES = "'’٬"
_LONG_GROUP = 3
"""Digits of a long sequence between two pauses."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number: its digits before and after the decimal mark."""

    digits: str
    decimals: str
    grouped: bool = False

    @property
    def value(self) -> Decimal:
        """The number with its decimals ("1.0" has one)."""
        return Decimal(f"{self.digits}.{self.decimals}" if self.decimals else self.digits)

    @property
    def is_long(self) -> bool:
        """True if it is spoken digit by digit: longer than any number with a name, or a code as 007 is."""
        longest = MAX_GROUPED_DIGITS if self.grouped else MAX_DIGITS
        return len(self.digits) > longest or (len(self.digits) > 1 and self.digits[0] == "0")


def parse_numeral(written: str, table: LanguageTable) -> Numeral | None:
    """The number that "1.250,50" or ".5" is in a language; None for what is no number ("1.2.3").

    The other convention for groups and decimals is understood where it is unambiguous.
    """
    if written[0] == ".":
        return Numeral("0", written[1:])
    marks, parts = _MARK.findall(written), [ascii_digits(part) for part in _MARK.split(written)]
    if not marks:
        return Numeral(parts[0], "")
    group, last = table.numbers.group, marks[-1]
    if len(set(marks)) > 1:
        return _with_decimals(marks, parts, group)
    several = len(marks) > 1 or last in _APOSTROPHES
    may_group = several or last == group or (not group and last != table.numbers.decimal)
    if may_group and _is_grouped(marks, parts, group):
        return Numeral("".join(parts), "", grouped=True)
    return None if several else Numeral(parts[0], parts[1])


def _with_decimals(marks: Sequence[str], parts: Sequence[str], group: str) -> Numeral | None:
    """The number with two kinds of marks: the last one is the decimal mark if it occurs once."""
    if marks[0] in _APOSTROPHES and marks[-1] == group and _are_threes(parts[1:]):
        # "1'200.000", of Colombia
        return Numeral("".join(parts), "", grouped=True)
    if marks[-1] in _APOSTROPHES or not _is_grouped(marks[:-1], parts[:-1], group):
        return None
    return Numeral("".join(parts[:-1]), parts[-1], grouped=True)


def _is_grouped(marks: Sequence[str], parts: Sequence[str], group: str) -> bool:
    """True for groups of three digits, or of two before the last three ("1,00,000"), all with one mark."""
    first, *pairs, last = parts
    if len(set(marks)) > 1 or first == "0":
        return False
    south_asian = len(first) <= 2 and len(last) == 3 and all(len(pair) == 2 for pair in pairs)
    western = len(first) <= 3 and _are_threes(parts[1:])
    return western or (marks[0] == group and bool(pairs) and south_asian)


def _are_threes(parts: Sequence[str]) -> bool:
    return all(len(part) == 3 for part in parts)


def say_numeral(numeral: Numeral, table: LanguageTable, gender: str = "") -> str:
    """A number in words, its decimals as the language reads them."""
    if numeral.is_long:
        whole = say_digits(numeral.digits, table)
    else:
        whole = table.number_words.cardinal(int(numeral.digits), "" if numeral.decimals else gender)
    if not numeral.decimals:
        return whole
    return f"{whole} {table.numbers.point} {_say_decimals(numeral.decimals, table)}"


def say_digits(digits: str, table: LanguageTable) -> str:
    """One digit after the other; a long sequence in groups, with a phrase break after each."""
    spoken = [table.number_words.cardinal(int(digit)) for digit in digits]
    if len(spoken) <= MAX_DIGITS:
        return " ".join(spoken)
    groups = (spoken[at : at + _LONG_GROUP] for at in range(0, len(spoken), _LONG_GROUP))
    return ", ".join(map(" ".join, groups))


def say_group(digits: str, table: LanguageTable, longest: int = MAX_DIGITS) -> str:
    """Figures as a number; one after the other if the first is a zero, or there are more than ``longest``."""
    one_by_one = digits[0] == "0" or len(digits) > longest
    return say_digits(digits, table) if one_by_one else table.number_words.cardinal(int(digits))


def _say_decimals(decimals: str, table: LanguageTable) -> str:
    significant = decimals.lstrip("0")
    if len(decimals) > table.numbers.decimals_as_number or not significant:
        return say_digits(decimals, table)
    zeros = [table.number_words.cardinal(0)] * (len(decimals) - len(significant))
    return " ".join([*zeros, table.number_words.cardinal(int(significant))])


def ascii_digits(digits: str) -> str:
    """Digits of any script as ASCII."""
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def is_numbered_part(before: str, table: LanguageTable) -> bool:
    """True for a word, or its abbreviation, that numbers stand after: "chapter", "fig."."""
    short = table.abbreviations.get(f"{before}.") or table.abbreviations.get(f"{before.lower()}.", ())
    parts = table.roman.cardinal_after | table.roman.ordinal_after
    return before.lower() in parts or any(said in parts for one in short for said in one.said.values())


def follows_number_sign(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after an abbreviation of "number"."""
    previous = cursor.previous()
    written = previous.text[previous.core_start : previous.end]
    if previous.text[previous.start : previous.end] == "#":
        return True
    short = table.abbreviations.get(written) or table.abbreviations.get(written.lower(), ())
    single = (one for one in short if len(one.parts) == 1)
    return any(table.numbers.number_sign in said for one in single for said in one.said.values())
