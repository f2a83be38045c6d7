"""Halves of the day, and times with a full stop: "9.30 am", "at 6.30 sharp"."""

from __future__ import annotations

import re
from collections.abc import Collection

from kani_text.normalizer.kinds import Rows
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

DOTTED_TIME = re.compile(r"\d{1,2}\.\d{2}")
_HALVED = re.compile(r"\d{1,2}(?:\.\d{2})?[ap](?:\.?m)?", re.IGNORECASE)
_FIVES = re.compile(r"(?:0?[3-9]|1\d|2[0-4])\.00|(?:0?[1-9]|1\d|2[0-4])\.(?:[1-5]0|[0-5]5)")
_QUARTERS, _MOST_LISTED = ("00", "15", "30", "45"), 8
_ENDS, _ZONE = Rows("@~ capital|nothing"), Rows("@~ capitals")
_MARKED, _MEASURED, _PAID = Rows("@ hours"), Rows("@ unit"), Rows("@ currency")
_TIMED = Rows("time_after~ @", "hours~ @", "@ hours", "@ to|dash clock hours")
_AT = Rows("dotted_after~ @")
_OF_DAY = Rows("weekdays|weekday~ @")
_COUNTED = Rows("@ magnitude|undotted_before")
_RATED = Rows("undotted_after~ dotted_after~ @", "@~ undotted_before")
_IN_LIST = Rows("figure|month{,} @")
_AFTER_TIME = Rows(
    "dotted_after~ clock~ and|to~ @", "dotted_after~ clock~ 'or'~ @", "dotted_after~ clock~ '&'~ @"
)


def half_of_day(written: str, table: LanguageTable) -> str | None:
    """The spoken form of "am" or "p.m"."""
    return table.times.halves.get(written.replace(".", "").lower()) if written else None


def half_after(cursor: TokenCursor, table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "am" or "p.m." after a time, and where it ends."""
    half = half_of_day(cursor.adjacent().core, table) if table.times.halves else None
    if half is None:
        return None
    token = cursor.token(1)
    if not token.suffix.startswith(".") or not token.core.isascii():
        return half, token.core_end
    # "At 9 a.m. It", but "9 a.m. ET"
    ends = token.suffix == "." and _ENDS.hold(cursor, table, 1) and not _ZONE.hold(cursor, table, 1)
    return half, token.core_end + (not ends)


def _is_listed(cursor: TokenCursor, after: Collection[str]) -> bool:
    """True for the last hour of "alle 8, 10 e 18.30": figures and short words lead back to a time's word."""
    back = 1
    while back < _MOST_LISTED and (core := cursor.previous(back).core) and core not in after:
        if not (core[0].isdecimal() or (core.islower() and len(core) <= len("und"))):
            return False
        back += 1
    return back > 1 and cursor.previous(back).core in after


def is_dotted_time(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the tokens around "7.30" make it a time; a full stop may be the decimal mark."""
    if half_after(cursor, table) is not None:
        return True
    measured = _MEASURED.hold(cursor, table)
    if table.numbers.decimal == ".":
        # "9.30 बजे"
        return (_MARKED.hold(cursor, table) and not measured) or is_english_time(cursor, table)
    return (
        _TIMED.hold(cursor, table)
        or (_AT.hold(cursor, table) and not measured)
        or _is_listed(cursor, table.times.after)
    )


def is_dotted_range(first: str, last: str, cursor: TokenCursor, table: LanguageTable) -> bool:
    """True if the full stops of "18.30-20", "4.30–7pm", "9–18.30 Uhr" are those of times."""
    if "." not in first + last:
        return False
    marked = _MARKED.hold(cursor, table)
    by_comma = table.numbers.decimal == ","
    if not DOTTED_TIME.fullmatch(first):
        measured = _MEASURED.hold(cursor, table) or _PAID.hold(cursor, table)
        # "7-10.30": a decimal has a comma.
        known = (by_comma and last.endswith(_QUARTERS)) or _OF_DAY.hold(cursor, table)
        known = marked or (known and not measured)
        return known and first.isdecimal() and DOTTED_TIME.fullmatch(last) is not None
    if by_comma or marked or _HALVED.fullmatch(last):
        return True
    if last.isdecimal():
        # "Sun 10.30-4"
        return _OF_DAY.hold(cursor, table)
    return DOTTED_TIME.fullmatch(last) is not None and is_english_time(cursor, table, first)


def is_said_as_time(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after "at" and the like, but in "trades at 5", "at 5 each"."""
    return _AT.hold(cursor, table) and not _RATED.hold(cursor, table)


def is_english_time(cursor: TokenCursor, table: LanguageTable, first: str = "") -> bool:
    """True for the "6.30" of "at 6.30 sharp", "at 5.20 & 8.45": fives of minutes, nothing is measured.

    first: of a range, its first time ("Room 2, 8.50–9.45").
    """
    written = first or cursor.token().core
    if not _FIVES.fullmatch(written) or _MEASURED.hold(cursor, table) or _COUNTED.hold(cursor, table):
        return False
    if first and _IN_LIST.hold(cursor, table):
        return True
    return _OF_DAY.hold(cursor, table) or is_said_as_time(cursor, table) or _AFTER_TIME.hold(cursor, table)
