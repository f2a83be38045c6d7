"""Marks and measures with letters: "B-", "32-yd", "x2", "B♭", the years "2024-25"."""

from __future__ import annotations

import re

from kani_text.normalizer.kinds import matching
from kani_text.normalizer.rules.acronyms import spelled_pieces
from kani_text.normalizer.rules.numerals import follows_number_sign, parse_numeral, say_numeral
from kani_text.normalizer.rules.units import singular, unit_end
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

_COORDINATE = re.compile(r"[xyz]\d|[yz]$")
"""After "x1": another's name, as in "x1 y1"."""
_NOTE = re.compile(r"(?i)(?P<name>[A-H]|do|ré|re|mi|fa|sol|la|si)(?P<sign>[♭♯])|[A-G]#(?!\w{4})")


@matching(r"(?P<number>\d{1,4})-(?P<unit>[a-zA-Z]{1,4})(?P<more>(?:-[a-z]+)*)")
def adjective(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "32-yd" and "7-yr-old", where a measure before what it describes has no plural."""
    token = cursor.token()
    unit = table.units.get(match["unit"]) if table.agreement.measures_after else None
    if unit is None:
        return None
    at, said = token.core_start, singular(unit.forms)
    middle, end = at + match.start("unit"), at + match.end("unit")
    number = Piece(table.number_words.cardinal(int(match["number"])), at, middle)
    more = (Piece(match["more"], end, token.core_end),) if match["more"] else ()
    # "a 10-in. scope"
    stop = token.core_end if more else unit_end(cursor, 0, table)
    return Verbalization((number, Piece(f" {said}", middle, end), *more), stop)


@matching(r"[x×](\d(?:[.,]\d{1,2})?|10|12|15|20)")
def factor(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "x2": so many times."""
    numeral, after = parse_numeral(match[1], table), cursor.token(1).core
    if numeral is None or (_COORDINATE.match(after) and after not in table.agreement.not_nouns):
        return None
    return cursor.token().said(f"{table.signs['×']} {say_numeral(numeral, table)}")


def note(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "B♭", "fa♯", "F♯m": a note, a half tone lower or higher."""
    token = cursor.token()
    match = _NOTE.match(token.text, token.core_start, token.end)
    sign = table.signs.get(match["sign"] or "♯") if match else None
    if match is None or sign is None:
        return None
    at, middle, written = match.start(), match.end() - 1, match.group()[:-1]
    name = spelled_pieces(written, at, table) if len(written) == 1 else (Piece(written, at, middle),)
    return Verbalization((*name, Piece(f" {sign}", middle, middle + 1)), middle + 1)


@matching(r"(?P<number>[1-9]|10)[-−]|(?P<letter>[A-F])[-−]")
def graded(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "8-" and "B-": a mark, and a little less."""
    if cursor.token(1).core[:1].isdecimal():
        return None
    token = cursor.token()
    start, end = token.core_start, token.core_end
    minus = Piece(f" {table.numbers.minus}", end - 1, end)
    if match["letter"]:
        return Verbalization((*spelled_pieces(match["letter"], start, table), minus), end)
    return token.parted(table.number_words.cardinal(int(match["number"])), match.end("number"), minus.text)


@matching(r"((?:1\d|20)\d\d)[-‐‑–](\d\d)")
def years(match: re.Match[str], cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1914-18" and the season "2024-25"."""
    year, until, words = int(match[1]), int(match[2]), table.number_words
    if year % 100 >= until or follows_number_sign(cursor, table):
        return None
    to = "" if (year + 1) % 100 == until else f"{table.numbers.to} "
    return cursor.token().parted(f"{words.year(year)} ", match.end(1), f"{to}{words.cardinal(until)}")
