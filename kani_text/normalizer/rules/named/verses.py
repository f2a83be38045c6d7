"""Chapters and verses: "John 3:16-18", "Mt 5, 1-12", "1 Kor 13,4"."""

import re

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules.numerals import DASHES
from kani_text.normalizer.spoken import Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import Token, TokenCursor

_VERSE = re.compile(
    rf"(?P<chapter>\d{{1,3}})(?:(?P<mark>[:,.])(?P<verse>\d{{1,3}})[a-z]?"
    rf"(?:[{DASHES}](?:(?P<until>\d{{1,3}})[:,.])?(?P<last>\d{{1,3}})[a-z]?)?)?"
)
_VERSES = re.compile(rf"\d{{1,3}}[a-z]?(?:[{DASHES}]\d{{1,3}}[a-z]?)?")
_NUMBERS_OF_BOOKS = ("1", "2", "3")


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
    token, book, before = (_at(cursor, place) for place in (ahead, ahead - 1, ahead - 2))
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


def _at(cursor: TokenCursor, place: int) -> Token:
    return cursor.token(place) if place >= 0 else cursor.previous(-place)
