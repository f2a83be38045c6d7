"""Ranges of what has letters: rows A–C, questions 5b–9, gates A12–A16, sizes S–XL."""

import re

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules.acronyms import roman_value, spelled_pieces
from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_PART = re.compile(r"(?P<before>[A-Z]{0,3})(?P<number>\d{0,4})(?P<after>[a-gA-DFG]?)")
_SIZES = tuple("XXS XS PP P S M L G GG XL XG XXL XXG 2XL 3XL 4XL XXXL".split())
_ROMAN = frozenset("IVX")
_HYPHENS = "-‐‑"
_NEXT = 1
_MEASURES = frozenset("deg")
"""Small letters that stand for a unit, or for an exponent, as often."""


@matching(rf"(?P<first>[^\W_]{{1,8}})(?P<dash>[{DASHES}])(?P<last>[^\W_]{{1,8}})")
def letters(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """Two places in an order, one or both with a letter: the first "to" the last."""
    token = cursor.token()
    if (centuries := _roman(cursor, match, table)) is not None:
        return centuries
    if not _is_range(cursor, match, table):
        return None
    at, dash, rest = (token.core_start + match.start(part) for part in (0, "dash", "last"))
    to = f" {table.numbers.to} "
    numbers = re.findall(r"\d+", token.core)
    if match["dash"] in _HYPHENS and match["first"][0].isalpha() and len(numbers) == len(("4", "5")):
        # The joint "L4-L5" lies between both.
        to = " " if int(numbers[1]) - int(numbers[0]) == _NEXT else to
    pieces = (*_say(match["first"], at, table), Piece(to, dash, rest), *_say(match["last"], rest, table))
    return Verbalization(pieces, token.core_end)


def _roman(cursor: TokenCursor, match: re.Match[str], table: LanguageTable) -> Verbalization | None:
    """ "XV-XVI", "I–X": Roman numerals."""
    token, first, last = cursor.token(), match["first"], match["last"]
    one, other = roman_value(first), roman_value(last)
    if not set(first + last) <= _ROMAN or one is None or other is None or one >= other:
        return None
    words, at = table.number_words, token.core_start + match.start("dash")
    noun = cursor.adjacent().core.lower()
    # "XV-XVI sec."
    ordinal, gender = noun in table.roman.ordinal_before, table.agreement.gender(noun, plural=False) or "m"
    said = [words.ordinal(value, gender) if ordinal else words.cardinal(value) for value in (one, other)]
    to = Piece(f" {table.numbers.to} ", at, at + 1)
    pieces = Piece(said[0], token.core_start, at), to, Piece(said[1], at + 1, token.core_end)
    return Verbalization(pieces, token.core_end)


def _is_range(cursor: TokenCursor, match: re.Match[str], table: LanguageTable) -> bool:
    """True if the last follows the first. A hyphen joins other things too ("A-B", "B12-16")."""
    first, last = match["first"], match["last"]
    if first in _SIZES and last in _SIZES and len(first + last) > len("SM"):
        return _SIZES.index(first) < _SIZES.index(last)
    one, other = _PART.fullmatch(first), _PART.fullmatch(last)
    if one is None or other is None or (first + last).isdecimal():
        return False
    if one["number"] and other["number"]:
        return _rises(one, other)
    if one["number"]:
        # "3a–c"
        return len(last) == 1 and "" < one["after"] < last and not one["before"]
    return _follows(cursor, match, table)


def _follows(cursor: TokenCursor, match: re.Match[str], table: LanguageTable) -> bool:
    """True for the letters of "A–C", and with a hyphen of "rows A-B" and "A-C"."""
    first, last = match["first"], match["last"]
    far = ord(last[0]) - ord(first[0])
    if len(first + last) > len("AB") or far <= 0 or first.islower() != last.islower():
        return False
    label = cursor.previous().core.lower().rstrip("s")
    labelled = any(one.rstrip("s") == label for one in table.numbers.labels)
    return match["dash"] not in _HYPHENS or labelled or (far > _NEXT and first.isupper())


def _rises(one: re.Match[str], other: re.Match[str]) -> bool:
    """True for the numbers of "A12–A16" and "5b–9"."""
    letters = one["after"] + other["after"]
    if one["before"] or other["before"]:
        return one["before"] == other["before"] and not letters and int(one["number"]) < int(other["number"])
    if int(one["number"]) >= int(other["number"]):
        return one["number"] == other["number"] and one["after"] < other["after"]
    # "5-7g" are grams.
    return letters.islower() and _MEASURES.isdisjoint(letters)


def _say(part: str, start: int, table: LanguageTable) -> tuple[Piece, ...]:
    """A number and the letters beside it."""
    pieces: list[Piece] = []
    for found in re.finditer(r"\d+|\D+", part):
        at = start + found.start()
        if pieces:
            pieces.append(Piece(" ", at, at + 1))
        if found.group().isdecimal():
            said = table.number_words.cardinal(int(found.group()))
            pieces.append(Piece(said, at, at + len(found.group())))
        else:
            pieces += spelled_pieces(found.group(), at, table)
    return tuple(pieces)
