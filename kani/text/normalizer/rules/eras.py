"""Dates and years that a mark assigns to another calendar."""

from __future__ import annotations

import re

from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable, OtherCalendar
from kani.text.normalizer.tokens import TokenCursor

_NUMERALS = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_ERA = re.compile(r"(\d{1,4})(\D{0,6})")


def split_calendar(cursor: TokenCursor, table: LanguageTable) -> tuple[str, OtherCalendar | None, int]:
    """A date's digits, the calendar of the mark after them, and the end of that."""
    token = cursor.token()
    for mark, calendar in table.dates.calendars.items():
        core = token.core.removesuffix(mark)
        if core == token.core and cursor.is_adjacent(1) and cursor.token(1).core == mark:
            end = cursor.token(1).core_end
        elif core != token.core:
            end = token.core_end
        else:
            continue
        if _NUMERALS.fullmatch(core):
            return core, calendar, end
    return token.core, None, token.core_end


def era(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1445 هـ": a year, and its calendar."""
    token = cursor.token()
    match = _ERA.fullmatch(token.core) if table.dates.calendars else None
    if match is None:
        return None
    mark, end = match[2], token.core_end
    as_year = mark != "" and 1900 <= int(match[1]) < 2100
    if not mark and cursor.is_adjacent(1):
        mark, end = cursor.token(1).core, cursor.token(1).core_end
    calendar = table.dates.calendars.get(mark)
    if calendar is None:
        return None
    if mark in table.units and not as_year and cursor.previous().core.lower() not in table.numbers.year_after:
        return None
    return Verbalization(
        (Piece(f"{table.number_words.year(int(match[1]))} {calendar.said}", token.core_start, end),), end
    )
