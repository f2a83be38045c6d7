"""Ranges of what has letters (rows A–C, gates A12–A16, sizes S–XL), and verses of the Bible."""

import re

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules.acronyms import figured_pieces
from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.spoken import FIGURES, Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor
from kani_text.writing import roman_value

_PART = re.compile(r"(?P<before>[A-Z]{0,3})(?P<number>\d{0,4})(?P<after>[a-gA-DFG]?)")
_SIZES = tuple("XXS XS PP P S M L G GG XL XG XXL XXG 2XL 3XL 4XL XXXL".split())
_ROMAN = frozenset("IVX")
_HYPHENS = "-‐‑"
_NEXT = 1
_MEASURES = frozenset("deg")
"""Small letters that stand for a unit, or for an exponent, as often."""
_VERSE = re.compile(
    rf"(?P<chapter>\d{{1,3}})(?:(?P<mark>[:,.])(?P<verse>\d{{1,3}})[a-z]?"
    rf"(?:[{DASHES}](?:(?P<until>\d{{1,3}})[:,.])?(?P<last>\d{{1,3}})[a-z]?)?)?"
)
_VERSES = re.compile(rf"\d{{1,3}}[a-z]?(?:[{DASHES}]\d{{1,3}}[a-z]?)?")
_NUMBERS_OF_BOOKS = ("1", "2", "3")


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
    numbers = FIGURES.findall(token.core)
    if match["dash"] in _HYPHENS and match["first"][0].isalpha() and len(numbers) == len(("4", "5")):
        # The joint "L4-L5" lies between both.
        to = " " if int(numbers[1]) - int(numbers[0]) == _NEXT else to
    first, last = figured_pieces(match["first"], at, table), figured_pieces(match["last"], rest, table)
    return Verbalization((*first, Piece(to, dash, rest), *last), token.core_end)


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


def book(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The name of a book of the Bible before a chapter and a verse."""
    token = cursor.token()
    name = _book(token, table)
    if name is None or not _is_verse(cursor, 1, table):
        return None
    return token.said_until(name, token.core_end + token.suffix.startswith("."))


def number_of_book(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The "1" of "1 Cor 13:4": the first of the letters to Corinth."""
    token = cursor.token()
    if token.core not in _NUMBERS_OF_BOOKS or token.suffix not in ("", ".") or not table.books.names:
        return None
    if _book(cursor.token(1), table) is None or not _is_verse(cursor, 2, table):
        return None
    spoken = table.number_words.ordinal(int(token.core), table.books.ordinal)
    return token.said_until(spoken, token.core_end + len(token.suffix))


@matching(_VERSE.pattern)
def verse(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "3:16-18" after a name, "3,16" after a book of the Bible: chapter and verses."""
    token, before = cursor.token(), cursor.previous()
    if not match["mark"] or before.suffix not in ("", "."):
        return None
    named = before.core[:1].isupper() and match["mark"] == ":" and match["last"] and not match["until"]
    if not named and (_book(before, table) is None or not _is_verse(cursor, 0, table)):
        return None
    words = table.number_words
    first = f"{words.cardinal(int(match['chapter']))} {words.cardinal(int(match['verse']))}"
    if not match["last"]:
        return token.said(first)
    until = f"{words.cardinal(int(match['until']))} " if match["until"] else ""
    last = f" {table.numbers.to} {until}{words.cardinal(int(match['last']))}"
    return token.parted(first, match.end("verse"), last)


def _book(token: Token, table: LanguageTable) -> str | None:
    if token.suffix not in ("", ".") or token.prefix.strip("("):
        return None
    return table.books.names.get(token.core)


def _is_verse(cursor: TokenCursor, ahead: int, table: LanguageTable) -> bool:
    """True if a chapter and a verse follow; a chapter without a verse is enough after some."""
    places = range(ahead, ahead - 3, -1)
    token, book, before = (cursor.token(at) if at >= 0 else cursor.previous(-at) for at in places)
    match = _VERSE.fullmatch(token.core)
    if match is None:
        return False
    measured = cursor.adjacent(ahead + 1).core
    if measured in table.units or measured.partition("/")[0] in table.units or table.is_money(measured):
        # "Hb 13,2 g/dL", "Mk 2,50 Euro"
        return False
    # "1 Cor 13"
    if match["mark"] or before.core in _NUMBERS_OF_BOOKS or book.core in table.books.alone:
        return match["mark"] != "." or table.numbers.decimal == ","
    return token.suffix == "," and _VERSES.fullmatch(cursor.token(ahead + 1).core) is not None
