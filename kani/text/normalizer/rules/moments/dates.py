"""Dates in digits, and years of other calendars."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kani.text.normalizer.kinds import Rows, is_kind
from kani.text.normalizer.rules.abbreviations import follows_number_sign
from kani.text.normalizer.rules.acronyms import common_words, roman_value
from kani.text.normalizer.rules.moments.days import DAY, day_of_month, days_of_month, say_day
from kani.text.normalizer.rules.numerals import DASHES
from kani.text.normalizer.rules.units import unit_end
from kani.text.normalizer.spoken import Piece, Verbalization
from kani.text.normalizer.tables.table import LanguageTable, OtherCalendar
from kani.text.normalizer.tokens import NO_TOKEN, TokenCursor
from kani.text.writing import is_day_before_noun

_DAY_MONTH = re.compile(r"(\d{1,2})(?:er|[ºª])?([/.-])(\d{1,2})")
_PADDED = re.compile(r"0[1-9][/.]\d\d|\d\d[/.]0[1-9]")
_FIRST = re.compile("º|er/")
_CALENDAR_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_CLOCK = re.compile(r"[0-2]?\d[:h][0-5]\d")
_ERA = re.compile(r"(\d{1,4})(\D{0,6})")
_LOOSE_DAY = re.compile(r"(\d{1,2})(?:er|[ºª°])?([/.-])(\d{1,2})(?:\2(\d{4}|\d{2})|\.)?")
_LOOSE_MARK = re.compile(rf"[{DASHES}]|(?<=\.)/")
_LATE_DAY = re.compile(r"(?:1[3-9]|2\d|3[01])/(?:0?[1-9]|1[0-2])(?:/\d+)?")
_SCREENS = frozenset(("16/9", "21/9", "24/7", "13/8"))
"""Screens and the like."""
_COMMON_FRACTIONS = frozenset(("1/2", "1/3", "2/3", "1/4", "3/4", "1/5", "1/10"))
_MONTHS, _LONGEST_MONTH, _LATEST_YEAR, _SIXTEENTHS = 12, 31, 40, 16
_MOST_GAMES, _LONGEST_PREPOSITION = 8, 3
_BEATS = frozenset((2, 4, 8, 16))
_FAR, _AHEAD = 30, 12

_DATED = Rows("dated_after~ @")
_OF_WEEKDAY = Rows("weekday~ @")
_AFTER_MONTH = Rows(r"month{\.?} @")
_PART = Rows("@ partitive|unit")
_MEASURED = Rows("@ unit")
_NAMED = Rows("word|figure~ capital @")
_COUNTED = Rows("capital @")
_EXPIRES = Rows("expires~ @", "expires~ short_word~ @")
_LAW = Rows("statute~ @")
_SPACED = Rows(r"@{\.} number{\.}")
_SLASHED = Rows(
    # "de 3 a 7/8", "a partir de 1/9", "28/6 h 19.30", "7/11 को"
    "joiner|short_word number to|until @", "onward short_word @", "@ hours|time_after figure", "@ dated_by",
)  # fmt: skip
_SIGN = re.compile(r"[\d+=×÷*<>%]")


@dataclass(frozen=True, slots=True)
class _Place:
    """A date's place in the text, and its calendar: what all forms of dates share."""

    cursor: TokenCursor
    table: LanguageTable
    calendar: OtherCalendar | None
    end: int

    def said(self, spoken: str, end: int | None = None) -> Verbalization:
        """The spoken form, up to ``end``."""
        end = self.end if end is None else end
        return Verbalization((Piece(spoken, self.cursor.token().core_start, end),), end)

    def date(self, day: int, month: int, year: str = "", end: int | None = None) -> Verbalization | None:
        """A day, and a year in digits or none; None for a day that no month has."""
        spoken = _date(day, month, year, self.cursor, self.table, self.calendar)
        return None if spoken is None else self.said(spoken, end)

    def month(self, month: int, year: int) -> Verbalization:
        """A month and a year."""
        dates, year_words = self.table.dates, self.table.number_words.year(year)
        return self.said(dates.month_year.format(month=dates.names[month - 1], year=year_words))

    def is_dated(self) -> bool:
        """True after a word that dates follow."""
        return _DATED.hold(self.cursor, self.table)


def date(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """A date in digits, or the day beside a month's name."""
    core, calendar, end = _split_calendar(cursor, table)
    place = _Place(cursor, table, calendar, end)
    for pattern, read in _FORMS:
        if (found := pattern.fullmatch(core)) and (said := read(found, place)) is not None:
            return said
    return None


def _iso(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "2024-10-03"."""
    return place.date(int(found[4] or found[6]), int(found[3] or found[5]), found[1])


def _spaced(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3. 10. 2024"."""
    cursor, table = place.cursor, place.table
    if not table.ordinals_with_stop or not _SPACED.hold(cursor, table):
        return None
    month, year = cursor.token(1), cursor.token(2)
    if len(year.core) == len("2024") and is_kind(year, "number", table):
        return place.date(int(found[0]), int(month.core), year.core, year.core_end)
    return place.date(int(found[0]), int(month.core), "", month.core_end + year.core[:1].islower())


def _days(_found: re.Match[str], place: _Place) -> Verbalization | None:
    return days_of_month(place.cursor, place.table)


def _numerals(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3/10/2024"; "3.10.12" is as likely a version."""
    version = found[2] == "." and len(found[4]) == 2 and len(found[1]) + len(found[3]) < 4
    if version and not place.is_dated():
        return None
    return place.date(*_in_order(found[1], found[3], place.cursor, place.table), found[4])


def _roman_month(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3-V-2024", "antes del 3/XI"."""
    dated = found[4] or place.is_dated()
    return place.date(int(found[1]), roman_value(found[3]) or 0, found[4] or "") if dated else None


def _named_month(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "15-feb", "3/Mar/2024", "Dec 24-Jan 2"."""
    cursor, table = place.cursor, place.table
    month = table.dates.months.get(found[3].lower(), 0)
    if month and found[2] != "/" and _AFTER_MONTH.hold(cursor, table):
        day = say_day(int(found[1]), cursor, table)
        return place.said(f"{day} {table.numbers.to} {table.dates.names[month - 1]}")
    return place.date(int(found[1]), month, found[4] or "")


def _month_and_year(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "abr/24"; "Mar-10" is as often a day where the month is first."""
    dates, number = place.table.dates, int(found[2])
    month = dates.months.get(found[1].lower())
    if month is None:
        return None
    if dates.order == "mdy" and number <= _LONGEST_MONTH:
        words = place.table.number_words.cardinal(number)
        return place.said(dates.month_year.format(month=dates.names[month - 1], year=words))
    return place.month(month, _full_year(found[2]))


def _month_of_year(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "12/2025", but not the law of "Ley 4/2023"."""
    cursor, table = place.cursor, place.table
    month, year, before = int(found[1]), int(found[2]), cursor.previous()
    short = before.suffix == "." and f"{before.core}." in table.abbreviations
    numbered = short or _NAMED.hold(cursor, table) or follows_number_sign(cursor, table)
    if (numbered and not _EXPIRES.hold(cursor, table)) or _LAW.hold(cursor, table):
        return None
    return place.month(month, year) if 1 <= month <= _MONTHS and 1100 <= year < 2100 else None


def _expiry(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "05/26" where months are written last, and "12/25" after a word for how long something is good."""
    if found[1][0] == "0" and place.table.dates.order == "dmy":
        good = not follows_number_sign(place.cursor, place.table)
    else:
        good = _EXPIRES.hold(place.cursor, place.table)
    return place.month(int(found[1]), 2000 + int(found[2])) if good else None


def _day_and_month(found: re.Match[str], place: _Place) -> Verbalization | None:
    """ "3/10", "3.10.", "del 22-12", where the words around show that it is a date."""
    cursor, table = place.cursor, place.table
    is_date = {"/": _is_slashed_date, "-": _is_hyphened_date, ".": _is_dotted_date}[found[2]]
    if not is_date(int(found[1]), int(found[3]), place):
        return None
    token = cursor.token()
    stop = found[2] == "." and token.suffix.startswith(".")
    stop = stop and (token.suffix != "." or not _ends_sentence(cursor))
    return place.date(*_in_order(found[1], found[3], cursor, table), "", place.end + stop)


def _day(found: re.Match[str], place: _Place) -> Verbalization | None:
    return day_of_month(place.cursor, place.table, int(found[1]), found[2] or "")


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], _Place], Verbalization | None]], ...] = (
    (re.compile(r"(\d{4})(?:([-/])(\d{1,2})\2(\d{1,2})|\.(\d{2})\.(\d{2}))"), _iso),
    (re.compile(r"\d\d?"), _spaced),
    (re.compile(r"(?:[0-3]?\d[/–-]){1,4}[0-3]?\d"), _days),
    (re.compile(r"(\d{1,2})(?:er|º|ª|°)?([/.-])(\d{1,2})\2(\d{4}|\d{2})"), _numerals),
    (re.compile(r"(\d{1,2})([/.-])([IVX]{1,4})(?:\2(\d{4}|\d{2}))?"), _roman_month),
    (re.compile(rf"(\d{{1,2}})([{DASHES}/.])([^\W\d_]{{3,9}})\.?(?:[/.-](\d{{4}}|\d{{2}}))?"), _named_month),
    (re.compile(rf"([^\W\d_]{{3,9}})\.?[{DASHES}/](\d{{4}}|\d\d)"), _month_and_year),
    (re.compile(r"(\d{1,2})/(\d{4})"), _month_of_year),
    (re.compile(r"(0?[1-9]|1[0-2])/(2\d|3\d)"), _expiry),
    (_DAY_MONTH, _day_and_month),
    (DAY, _day),
)


def _is_slashed_date(first: int, last: int, place: _Place) -> bool:
    """True if the words around "14/03" show that it is no fraction."""
    cursor, table, written = place.cursor, place.table, place.cursor.token().core
    common = written in _COMMON_FRACTIONS
    if place.is_dated() and not (common and not _OF_WEEKDAY.hold(cursor, table)):
        return True
    if place.is_dated() and common:
        return not _is_part(cursor, table)
    if _FIRST.search(written) or (_SLASHED.hold(cursor, table) and not common):
        return True
    if _is_one_of_two(cursor, table) or _is_whole(first, last, place):
        return True
    # "Page 02/10" is a count.
    counted = follows_number_sign(cursor, table) or _COUNTED.hold(cursor, table)
    if counted:
        return False
    return _PADDED.fullmatch(written) is not None or _is_odd(first, last, place)


def _is_part(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True for a fraction of what follows: "the 2/3 majority", "le 1/4 des crédits", "em 1/2 h"."""
    following = cursor.token(1).core
    noun = following.islower() and len(following) > 3 and following not in common_words(table.language)
    return cursor.is_adjacent(1) and (noun or _PART.hold(cursor, table))


def _is_odd(first: int, last: int, place: _Place) -> bool:
    """True for what is no usual fraction: "thru 11/3", "my 3/5 email"; "7/4" is a measure of music."""
    cursor, table = place.cursor, place.table
    if is_kind(cursor.token(1), "dated_noun", table):
        return True
    following = cursor.token(1).core[:1] if cursor.is_adjacent(1) else ""
    if _SIGN.fullmatch(cursor.previous().core[-1:]) or _SIGN.fullmatch(following):
        return False
    # Of the languages only one with such nouns, English, has no fractions above one.
    odd = "dated_noun" in table.kinds and first > last not in _BEATS
    return odd and cursor.token().core not in _SCREENS and not _MEASURED.hold(cursor, table)


def _is_one_of_two(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True beside another date: "30/9 a 4/10", "01/02 & 28/02"."""
    following = cursor.token(2) if cursor.is_adjacent(1) else NO_TOKEN
    sides = (cursor.previous(), cursor.previous(2)), (cursor.token(1), following)
    return any(
        (joiner.core == "&" or (joiner.core.isalpha() and len(joiner.core) <= _LONGEST_PREPOSITION))
        and is_loose(other.core, table)
        for joiner, other in sides
    )


def _is_whole(day: int, month: int, place: _Place) -> bool:
    """True for "mail 12/2": a whole number such as 6 is written as a fraction only in calculations."""
    cursor, before = place.cursor, place.cursor.previous().core
    if place.table.dates.order != "dmy" or not before.islower() or cursor.token(1).core[:1].islower():
        return False
    # "6/3" may be a set of tennis, and "12/2" after a short word a part of a list.
    games = day <= _MOST_GAMES or len(before) <= _LONGEST_PREPOSITION
    return not games and 1 < month < day <= _LONGEST_MONTH and day % month == 0


def _is_hyphened_date(day: int, month: int, place: _Place) -> bool:
    """True for "del 22-12": a range does not fall."""
    dated = place.table.dates.order == "dmy" and month <= _MONTHS < day <= _LONGEST_MONTH
    return dated and place.is_dated()


def _is_dotted_date(_day: int, month: int, place: _Place) -> bool:
    """True for "am 3.10." and "bis 30.6.", and "le 03.04" where a stop makes no ordinal."""
    cursor, table, token = place.cursor, place.table, place.cursor.token()
    if not table.ordinals_with_stop:
        dated = table.dates.order == "dmy" and place.is_dated() and not _MEASURED.hold(cursor, table)
        return dated and _PADDED.fullmatch(token.core) is not None
    if month > _MONTHS or (cursor.is_adjacent(1) and is_kind(cursor.token(1), "hours", table)):
        # "ab 7.30 Uhr", "So., 9.30"
        return False
    if place.is_dated() or not token.suffix.startswith("."):
        return place.is_dated()
    # "bis 30.6.", at a sentence's end too
    return token.suffix != "." or cursor.previous().core.islower() or cursor.token(1).core[:1].islower()


def loose(cursor: TokenCursor, table: LanguageTable) -> Verbalization | None:
    """ "30/5", "1/6-30/6", German "1.6.–30.6.": dates, as the figures are no usual fraction."""
    token = cursor.token()
    days = _LOOSE_MARK.split(token.core)
    stopped = bool(table.ordinals_with_stop) and len(days) == 2 and days[0].endswith(".")
    if len(days) > 2 or not (
        stopped
        or _is_range(days, table)
        or any(is_loose(day, table) for day in days)
        or is_before_time(cursor)
    ):
        return None
    said = [_loose_day(day, stopped and at == 0, cursor, table) for at, day in enumerate(days)]
    stop = stopped and token.suffix.startswith(".") and not _ends_sentence(cursor)
    end = token.core_end + stop
    # "24./25.12."
    joiner = table.signs.get("&", "") if "/" in token.core and stopped else table.numbers.to
    spoken = f" {joiner} ".join(filter(None, said))
    return Verbalization((Piece(spoken, token.core_start, end),), end) if all(said) else None


def _is_range(days: list[str], table: LanguageTable) -> bool:
    """True for two days of a month: "1/6-30/6"."""
    months = {day.split("/")[-int(table.dates.order == "dmy")] for day in days}
    return len(days) == 2 > len(months) and "/" in days[0] and not _COMMON_FRACTIONS.issuperset(days)


def _loose_day(written: str, alone: bool, cursor: TokenCursor, table: LanguageTable) -> str | None:
    """A day and its month; ``alone``: or just a day with its stop: "3.–5.5."."""
    if alone and written[:-1].isdecimal():
        return say_day(int(written[:-1]), cursor, table)
    found = _LOOSE_DAY.fullmatch(written)
    if found is None:
        return None
    return _date(*_in_order(found[1], found[3], cursor, table), found[4] or "", cursor, table, None)


def is_before_time(cursor: TokenCursor) -> bool:
    """True for the "7/10" of "7/10 9:30" and "7/10 @ 9:30"."""
    core = cursor.token().core
    if "/" not in core or not _DAY_MONTH.fullmatch(core) or not cursor.is_adjacent(1):
        return False
    return _CLOCK.fullmatch(cursor.token(1 + (cursor.token(1).core == "@")).core) is not None


def is_loose(written: str, table: LanguageTable) -> bool:
    """True for figures that are a day and a month rather than a fraction."""
    if (found := _DAY_MONTH.fullmatch(written)) is None or found[2] != "/" or written in _SCREENS:
        return False
    first, last = int(found[1]), int(found[3])
    if _PADDED.fullmatch(written):
        # "05/11", which no fraction is
        return True
    if table.dates.order == "mdy" and first <= _MONTHS < last <= _LONGEST_MONTH:
        return last != _SIXTEENTHS and first > 1
    return last <= _MONTHS < first <= _LONGEST_MONTH


def _ends_sentence(cursor: TokenCursor) -> bool:
    token, following = cursor.token(), cursor.token(1)
    if following.core and is_day_before_noun(token.text[: token.core_end + 1], following.core):
        return False
    return not following.core or following.core[0].isupper()


def _in_order(first: str, second: str, cursor: TokenCursor, table: LanguageTable) -> tuple[int, int]:
    """Day and month."""
    day, month = int(first), int(second)
    if month > _MONTHS or (table.dates.order == "mdy" and day <= _MONTHS and not _is_british(cursor, table)):
        day, month = month, day
    return day, month


def _is_british(cursor: TokenCursor, table: LanguageTable) -> bool:
    """True where an English date begins with the day: not far from "13/11", or after "VAT"."""
    before = [*map(cursor.previous, range(1, _FAR))]
    if any(is_kind(token, "british", table) for token in before):
        return True
    near = (*before, *map(cursor.token, range(1, _AHEAD)))
    return any(_LATE_DAY.fullmatch(token.core) for token in near)


def _date(
    day: int, month: int, year: str, cursor: TokenCursor, table: LanguageTable, calendar: OtherCalendar | None
) -> str | None:
    if not (1 <= day <= _LONGEST_MONTH and 1 <= month <= _MONTHS):
        return None
    dates = table.dates
    name = ((calendar and calendar.names) or dates.names)[month - 1]
    day_words = say_day(day, cursor, table)
    if not year:
        return dates.day_month.format(day=day_words, month=name)
    spoken = dates.date.format(day=day_words, month=name, year=table.number_words.year(_full_year(year)))
    return f"{spoken} {calendar.said}" if calendar is not None else spoken


def _full_year(year: str) -> int:
    return int(year) + (0 if len(year) == 4 else 2000 if int(year) < _LATEST_YEAR else 1900)


def _split_calendar(cursor: TokenCursor, table: LanguageTable) -> tuple[str, OtherCalendar | None, int]:
    """A date's digits, the calendar of the mark after them, and the end of that."""
    token = cursor.token()
    for mark, calendar in table.dates.calendars.items():
        core, end = token.core.removesuffix(mark), token.core_end
        if core == token.core and cursor.is_adjacent(1) and cursor.token(1).core == mark:
            end = cursor.token(1).core_end
        if (core, end) != (token.core, token.core_end) and _CALENDAR_DATE.fullmatch(core):
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
        mark, end = cursor.token(1).core, unit_end(cursor, 1, table)
    calendar = table.dates.calendars.get(mark)
    if calendar is None:
        return None
    if mark in table.units and not as_year and cursor.previous().core.lower() not in table.numbers.year_after:
        return None
    said = f"{table.number_words.year(int(match[1]))} {calendar.said}"
    return Verbalization((Piece(said, token.core_start, end),), end)
