"""Halves of the day, and times with a full stop: "9.30 am", "at 6.30 sharp"."""

from __future__ import annotations

import re
from collections.abc import Collection

from kani.text.normalizer.rules.numerals import DASHES
from kani.text.normalizer.tables.table import LanguageTable
from kani.text.normalizer.tokens import TokenCursor

DOTTED_TIME = re.compile(r"\d{1,2}\.\d{2}")
_LAST_HOUR = 24
_MOST_LISTED = 8
_FIVE, _LAST_MINUTE, _FIRST_FULL = 5, 59, 3


def half_of_day(written: str, table: LanguageTable) -> str | None:
    """The spoken form of "am" or "p.m"."""
    return table.times.halves.get(written.replace(".", "").lower()) if written else None


def half_behind(cursor: TokenCursor, table: LanguageTable) -> tuple[str, int] | None:
    """The spoken form of "am", "p.m." or "p. m." after a time, and its end."""
    if not table.times.halves or not cursor.is_adjacent(1):
        return None
    first = cursor.token(1)
    if (half := half_of_day(first.core, table)) is not None:
        return half, _past_stop(cursor, 1)
    if len(first.core) == 1 and first.suffix == "." and f"{first.core.lower()}m" in table.times.halves:
        second = cursor.token(2)
        if second.core.lower() == "m" and second.start == second.core_start:
            return table.times.halves[f"{first.core.lower()}m"], _past_stop(cursor, 2)
    return None


def _past_stop(cursor: TokenCursor, ahead: int) -> int:
    """End of an abbreviation: after its full stop, unless that ends the sentence too."""
    token = cursor.token(ahead)
    if not token.suffix.startswith(".") or not token.core.isascii():
        return token.core_end
    if len(token.suffix) == 1:
        following = cursor.token(ahead + 1).core
        zone = following.isupper() and 1 < len(following) <= len("AEST")
        if following == "" or (following[0].isupper() and not zone):
            return token.core_end
    return token.core_end + 1


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
    if half_behind(cursor, table) is not None:
        return True
    mark = cursor.token(1).core if cursor.is_adjacent(1) else ""
    if mark in table.times.marks and mark not in table.units:
        # "9.30 बजे"
        return True
    if table.numbers.decimal == ".":
        return is_english_time(cursor, table, cursor.token().core)
    marks, after = table.times.marks, table.times.after
    if cursor.is_adjacent(1) and cursor.token(1).core in (table.numbers.to, *DASHES):
        # "von 9.30 bis 11.45 Uhr"
        return DOTTED_TIME.fullmatch(cursor.token(2).core) is not None and cursor.token(3).core in marks
    before = cursor.previous().core
    listed = _is_listed(cursor, after)
    unit = cursor.token(1).core in table.units and cursor.is_adjacent(1)
    return (
        before in after
        or (before.lower() in table.times.dotted_after and not unit)
        or before in marks
        or listed
        or (cursor.is_adjacent(1) and cursor.token(1).core in marks)
    )


def is_said_as_time(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True after "at" and the like, but in "trades at 5", "at 5 each"."""
    if cursor.token(1).core.lower() in table.times.undotted_before:
        return False
    before, rated = cursor.previous().core.lower(), cursor.previous(2).core.lower()
    return before in table.times.dotted_after and rated not in table.times.undotted_after


def is_english_time(cursor: TokenCursor, table: LanguageTable, written: str) -> bool:
    """True for the "6.30" of "at 6.30 sharp", "at 5.20 & 8.45": fives of minutes, nothing is measured.

    written: the token, or the first time of its range ("Room 2, 8.50–9.45").
    """
    token, before, ahead = cursor.token(), cursor.previous(), cursor.token(1)
    hour, _, minutes = written.partition(".")
    if not (hour.isdecimal() and minutes.isdecimal()):
        # "late-7.63"
        return False
    if len(hour) > 1 and hour[0] == "0" and before.core.lower() == "the":
        # "the 09.47 to Leeds"
        return int(minutes) <= _LAST_MINUTE
    measured = cursor.is_adjacent(1) and (
        ahead.core in table.units
        or ahead.core.lower() in table.numbers.magnitude_words
        or ahead.core.lower() in table.times.undotted_before
    )
    least = 1 if int(minutes) else _FIRST_FULL
    if (
        measured
        or not least <= int(hour) <= _LAST_HOUR
        or int(minutes) % _FIVE
        or int(minutes) > _LAST_MINUTE
    ):
        return False
    dated = before.core[:1].isdecimal() or before.core.lower() in table.dates.months
    if written != token.core and before.suffix == "," and dated and int(hour) > _FIRST_FULL:
        return True
    rated = cursor.previous(2).core.lower()
    if before.core in table.dates.short_weekdays or before.core.lower() in table.dates.days:
        return True
    if before.core.lower() in table.times.dotted_after:
        return is_said_as_time(cursor, table)
    return before.core.lower() in ("&", "and", "or", "to") and (
        DOTTED_TIME.fullmatch(rated) is not None
        and cursor.previous(3).core.lower() in table.times.dotted_after
    )
