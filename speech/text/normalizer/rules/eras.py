"""Other calendars than ours: what stands behind a date or a year to say that it is counted in one."""

from __future__ import annotations

import re

from speech.text.normalizer.spoken import Piece, Verbalization
from speech.text.normalizer.tables.table import LanguageTable, OtherCalendar
from speech.text.normalizer.tokens import TokenCursor

_FIGURES = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_ERA = re.compile(r"(\d{1,4})(\D{0,6})")


def split_calendar(cursor: TokenCursor, table: LanguageTable) -> tuple[str, OtherCalendar | None, int]:
    """A date's figures, what is written behind them for their calendar, and where that ends."""
    word = cursor.token()
    for mark, calendar in table.dates.calendars.items():
        core = word.core.removesuffix(mark)
        if core == word.core and cursor.is_adjacent(1) and cursor.token(1).core == mark:
            end = cursor.token(1).core_end
        elif core != word.core:
            end = word.core_end
        else:
            continue
        if _FIGURES.fullmatch(core):
            return core, calendar, end
    return word.core, None, word.core_end


def era(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "1445 هـ": a year, and the calendar that it is counted in."""
    word = cursor.token()
    match = _ERA.fullmatch(word.core) if table.dates.calendars else None
    if match is None:
        return None
    mark, end = match[2], word.core_end
    as_year = mark != "" and 1900 <= int(match[1]) < 2100
    if not mark and cursor.is_adjacent(1):
        mark, end = cursor.token(1).core, cursor.token(1).core_end
    calendar = table.dates.calendars.get(mark)
    if calendar is None:
        return None
    if mark in table.units and not as_year and cursor.previous().core.lower() not in table.numbers.year_after:
        return None
    return Verbalization(
        (Piece(f"{table.number_words.year(int(match[1]))} {calendar.said}", word.core_start, end),), end
    )
