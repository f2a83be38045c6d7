"""The day and the year beside a month's name, and short names of months in full."""

from __future__ import annotations

import re

from kani_text.normalizer.kinds import Rows, is_kind
from kani_text.normalizer.rules.moments.day_and_month import LONGEST_MONTH
from kani_text.normalizer.rules.ordinals import form
from kani_text.normalizer.spoken import Piece, Verbalization
from kani_text.normalizer.tables.table import LanguageTable
from kani_text.normalizer.tokens import TokenCursor

DAY = re.compile(r"(\d{1,2})(\.?[^\W\d_]{1,2}|[ºª]|\.[ºª])?")
_NUMBER = re.compile(r"\d+")
_APOSTROPHES = ("'", "’")

AFTER_MONTH = Rows(r"month{\.?} @")
_BEFORE_MONTH = Rows("@ joiner? month")
_TO_NUMBER = Rows("@~ dash number", "@ to|and number")
_TO_DAY = Rows(r"@~ dash number{\.?} month", "@ to|and number month")
_OF_MONTH = Rows("@ month|other_month")
_JOINED_TO_MONTH = Rows("@ joiner month|other_month")
_STOPPED_DAY = Rows(r"@{\.} month|other_month", r"@{\.} joiner month|other_month")
_OF_DATE = Rows(r"day joiner? month{\.?} @")
_BESIDE_NUMBER = Rows(r"figure{\.?} @", "figure joiner @", r"@{\.?} figure")
_BESIDE_MONTH = Rows(r"@{\.} dash|short_word month", r"month{\.?} dash|short_word @{\..*}")
_BEFORE_YEAR = Rows("@ year")


def say_day(day: int, cursor: TokenCursor, table: LanguageTable) -> str:
    """The day of a month, as a cardinal or an ordinal."""
    if day == 1 and table.dates.first_day:
        return table.dates.first_day
    kind, _, asked = table.dates.day.partition(" ")
    if kind == "ordinal" and table.ordinals_with_stop:
        asked = form(cursor, table, "m")
    return table.number_words.ordinal(day, asked) if kind == "ordinal" else table.number_words.cardinal(day)


def day_of_month(cursor: TokenCursor, table: LanguageTable, day: int, mark: str) -> Verbalization | None:
    """A day before or after its month's name."""
    token = cursor.token()
    # "Sept. '23" is a year.
    if not 1 <= day <= LONGEST_MONTH or (mark and mark not in table.ordinals) or token.prefix in _APOSTROPHES:
        return None
    said, stop = say_day(day, cursor, table), token.suffix == "."
    if table.dates.order == "mdy" and AFTER_MONTH.hold(cursor, table) and not _TO_NUMBER.hold(cursor, table):
        named, stop = None if mark else said, False
    else:
        named = _before_month(said, cursor, table)
    if not named:
        return None
    return Verbalization((Piece(named, token.core_start, token.core_end),), token.core_end + stop)


def _before_month(day: str, cursor: TokenCursor, table: LanguageTable) -> str | None:
    """A day with the word before its month's name, where that follows."""
    if _TO_NUMBER.hold(cursor, table):
        # "12 – 14 June", "من 12 إلى 14 يونيو"
        dated = table.dates.day.startswith("ordinal") and _TO_DAY.hold(cursor, table)
        return _without_month(day, table) if dated else None
    if _OF_MONTH.hold(cursor, table) or (table.ordinals_with_stop and _STOPPED_DAY.hold(cursor, table)):
        said = table.dates.before_month.format(day=day)
        first, _, rest = said.partition(" ")
        # "the 3 May"
        return rest if cursor.previous().core.lower() == first else said
    return day if _JOINED_TO_MONTH.hold(cursor, table) else None


def _without_month(day: str, table: LanguageTable) -> str:
    """A day as it is said before its month's name, without the word between: "the third"."""
    return table.dates.before_month.partition("{day}")[0] + day


def year_of_date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """The year of "3 abr. 2024", with the word that the language has before it."""
    token = cursor.token()
    between = table.dates.date.partition("{month}")[2].lstrip()
    if not between[:1].isalpha() or not is_kind(token, "year", table) or not _OF_DATE.hold(cursor, table):
        return None
    said = between.format(year=table.number_words.year(int(token.core)))
    return token.said(said)


def days_of_month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "17/18" and "17-18-19" before a month's name; "17-18" by itself is a range."""
    token, dates = cursor.token(), table.dates
    found = [*_NUMBER.finditer(token.core)]
    first = dates.order == "mdy" and AFTER_MONTH.hold(cursor, table)
    ranged = len(found) == 2 and "/" not in token.core
    if (ranged and not dates.day.startswith("ordinal")) or not (first or _BEFORE_MONTH.hold(cursor, table)):
        return None
    pieces, between = [], f" {table.numbers.to} " if ranged else ", "
    for at, day in enumerate(found, 1):
        said, last = say_day(int(day.group()), cursor, table), at == len(found)
        if ranged and not first:
            # "3-5 May": "the third to the fifth of May"
            said = dates.before_month.format(day=said) if last else _without_month(said, table)
        start = token.core_start
        pieces.append(Piece(said if last else said + between, start + day.start(), start + day.end()))
    return Verbalization(tuple(pieces), token.core_end)


def month(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A month's short name in full, beside a day, a year or another month."""
    token = cursor.token()
    name = table.dates.names[table.dates.months[token.core.lower()] - 1]
    stopped = token.suffix.startswith(".")
    other_word = not stopped and is_kind(token, "month_or_word", table)
    if token.core.lower() == name.lower() or (other_word and not _BEFORE_YEAR.hold(cursor, table)):
        return None
    # "Sept. '23"
    beside = cursor.token(1).prefix in _APOSTROPHES or _BESIDE_NUMBER.hold(cursor, table)
    if not beside and not _BESIDE_MONTH.hold(cursor, table):
        return None
    stop = stopped and (token.suffix != "." or not _ends_phrase(cursor))
    return Verbalization((Piece(name, token.core_start, token.core_end),), token.core_end + stop)


def _ends_phrase(cursor: TokenCursor) -> bool:
    following = cursor.token(1)
    return following.end == following.start or following.core[:1].isupper()
